/** Sign in with a name or an e-mail address, and go on to where one wanted to be. */
import { Alert, Button, PasswordInput, Stack, TextInput } from "@mantine/core";
import { useMutation, useQuery } from "@tanstack/react-query";
import { getRouteApi, useRouter } from "@tanstack/react-router";
import { type FormEvent, useState } from "react";
import { useTranslation } from "react-i18next";
import { getSetup } from "../../.client";
import { data } from "../api/http";
import { ProblemAlert } from "../shell/ProblemAlert";
import { AuthScreen } from "./AuthScreen";
import { signIn } from "./state";

const route = getRouteApi("/sign-in");

export function SignInPage() {
  const { t } = useTranslation();
  const router = useRouter();
  const { next } = route.useSearch();
  const [username, setUsername] = useState("");
  const [password, setPassword] = useState("");
  const setup = useQuery({ queryKey: ["setup"], queryFn: () => data(getSetup()), retry: false });
  const entry = useMutation({
    mutationFn: () => signIn(username.trim(), password),
    onSuccess: () => router.history.push(next ?? "/"),
  });
  const submit = (event: FormEvent) => {
    event.preventDefault();
    entry.mutate();
  };
  return (
    <AuthScreen title={t("auth.signIn")} lead={t("auth.signInLead")}>
      <form onSubmit={submit}>
        <Stack gap="md">
          {setup.data?.needed && (
            <Alert color="yellow" title={t("auth.setupNeeded")}>
              {t("auth.setupNeededHint")}
            </Alert>
          )}
          {entry.isError && <ProblemAlert error={entry.error} />}
          <TextInput
            label={t("auth.username")}
            autoComplete="username"
            required
            autoFocus
            value={username}
            onChange={(event) => setUsername(event.currentTarget.value)}
          />
          <PasswordInput
            label={t("auth.password")}
            autoComplete="current-password"
            required
            value={password}
            onChange={(event) => setPassword(event.currentTarget.value)}
          />
          <Button type="submit" fullWidth loading={entry.isPending} mt="xs">
            {t("auth.signIn")}
          </Button>
        </Stack>
      </form>
    </AuthScreen>
  );
}
