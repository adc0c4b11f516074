/** Short messages at the edge of the screen: for what has no place on the page. */
import { notifications } from "@mantine/notifications";
import { asProblem } from "../api/problem";
import i18n from "../i18n";

export function toastProblem(error: unknown): void {
  const problem = asProblem(error);
  const title = problem.unreachable
    ? i18n.t("problem.unreachable")
    : problem.detail || problem.title || i18n.t("problem.unknown");
  const advice = problem.unreachable ? i18n.t("problem.unreachableHint") : problem.hint;
  const id = problem.requestId && `${i18n.t("problem.requestId")} ${problem.requestId}`;
  notifications.show({
    color: "red",
    title,
    message: [advice, id].filter(Boolean).join(" · "),
    autoClose: 8000,
  });
}

export function toastWarning(message: string): void {
  notifications.show({ message, color: "yellow", autoClose: 8000 });
}

export function toast(message: string): void {
  notifications.show({ message, color: "pine", autoClose: 4000 });
}
