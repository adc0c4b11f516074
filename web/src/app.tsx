/** Assembles the console: providers around the router, and the moment before anyone is known. */
import { MantineProvider } from "@mantine/core";
import { Notifications } from "@mantine/notifications";
import { QueryClientProvider } from "@tanstack/react-query";
import { RouterProvider } from "@tanstack/react-router";
import { useEffect } from "react";
import { cache } from "./api/cache";
import { startAuth, useAuth } from "./auth/state";
import { router } from "./router";
import { Waiting } from "./shell/fallbacks";
import { Page } from "./shell/PageHeader";
import { ProblemAlert } from "./shell/ProblemAlert";
import { theme } from "./shell/theme";

export function App() {
  return (
    <MantineProvider theme={theme} defaultColorScheme="auto" deduplicateInlineStyles>
      <QueryClientProvider client={cache}>
        <Notifications position="top-right" limit={4} />
        <Door />
      </QueryClientProvider>
    </MantineProvider>
  );
}

function Door() {
  const auth = useAuth();
  useEffect(() => {
    void startAuth();
  }, []);
  useEffect(() => {
    if (auth.status === "signed-out") cache.clear();
    if (auth.status !== "starting") void router.invalidate();
  }, [auth.status]);
  if (auth.status === "starting") return <Waiting />;
  if (auth.status === "unreachable") {
    return (
      <Page narrow>
        <ProblemAlert error={auth.problem} onRetry={() => void startAuth()} />
      </Page>
    );
  }
  return <RouterProvider router={router} />;
}
