/** What went wrong, what to do about it, and the id to find it by in the server's log. */
import { Alert, Button } from "@mantine/core";
import { IconAlertTriangle } from "@tabler/icons-react";
import { useTranslation } from "react-i18next";
import { asProblem, type Problem } from "../api/problem";
import classes from "./bits.module.css";

type Props = { error: unknown; onRetry?: () => void };

export function ProblemAlert({ error, onRetry }: Props) {
  const { t } = useTranslation();
  const problem = asProblem(error);
  const words = useProblemWords();
  return (
    <Alert
      color="red"
      variant="light"
      role="alert"
      icon={<IconAlertTriangle size={18} />}
      title={words.title(problem)}
      data-testid="problem"
    >
      {words.advice(problem)}
      {problem.errors.length > 0 && (
        <ul>
          {problem.errors.map((one) => (
            <li key={one.field}>{one.message}</li>
          ))}
        </ul>
      )}
      {problem.requestId && (
        <div className={classes.requestId}>
          {t("problem.requestId")} <code>{problem.requestId}</code>
        </div>
      )}
      {onRetry && (
        <Button mt="sm" size="xs" variant="default" onClick={onRetry}>
          {t("problem.retry")}
        </Button>
      )}
    </Alert>
  );
}

/** A problem in the reader's words: what happened, and what to do. */
export function useProblemWords() {
  const { t } = useTranslation();
  return {
    title: (problem: Problem) =>
      problem.unreachable
        ? t("problem.unreachable")
        : problem.detail || problem.title || t("problem.unknown"),
    advice: (problem: Problem) =>
      problem.unreachable ? t("problem.unreachableHint") : problem.hint,
  };
}
