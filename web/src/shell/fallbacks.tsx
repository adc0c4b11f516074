/** What stands in place of a page: still loading, not there, or broken. */
import { Center, Loader } from "@mantine/core";
import { IconError404 } from "@tabler/icons-react";
import { useTranslation } from "react-i18next";
import { EmptyState } from "./EmptyState";
import { LinkButton } from "./links";
import { Page } from "./PageHeader";
import { ProblemAlert } from "./ProblemAlert";

export function Waiting() {
  return (
    <Center h="60%">
      <Loader size="sm" type="dots" />
    </Center>
  );
}

export function NotFound() {
  const { t } = useTranslation();
  return (
    <Page narrow>
      <EmptyState
        icon={<IconError404 size={36} stroke={1.4} />}
        title={t("problem.notFound")}
        action={
          <LinkButton to="/agents" variant="default">
            {t("nav.toAgents")}
          </LinkButton>
        }
      >
        {t("problem.notFoundHint")}
      </EmptyState>
    </Page>
  );
}

export function Broken({ error, reset }: { error: unknown; reset: () => void }) {
  return (
    <Page narrow>
      <ProblemAlert error={error} onRetry={reset} />
    </Page>
  );
}
