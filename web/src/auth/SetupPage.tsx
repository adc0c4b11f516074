/** First run: the one-time link that the server prints makes the first account. */
import { Alert, Button, PasswordInput, Stack, TextInput } from "@mantine/core";
import { useMutation } from "@tanstack/react-query";
import { useRouter } from "@tanstack/react-router";
import { type FormEvent, useState } from "react";
import { useTranslation } from "react-i18next";
import { asProblem } from "../api/problem";
import { LinkButton } from "../shell/links";
import { ProblemAlert } from "../shell/ProblemAlert";
import { AuthScreen } from "./AuthScreen";
import { tokenOf } from "./link";
import { setUp } from "./state";

/** As the server asks for; checked here too, so that nobody waits for the answer. */
const SHORTEST_PASSWORD = 8;

export function SetupPage() {
  const { t } = useTranslation();
  const router = useRouter();
  const [token] = useState(() => tokenOf(location.hash));
  const [fields, setFields] = useState({
    username: "admin",
    display_name: "",
    email: "",
    password: "",
  });
  const entry = useMutation({
    mutationFn: () => setUp({ token, ...fields, username: fields.username.trim() }),
    onSuccess: () => router.history.replace("/agents"),
  });
  const problem = entry.isError ? asProblem(entry.error) : null;
  const field = (name: keyof typeof fields) => ({
    label: t(`auth.${name}`),
    value: fields[name],
    error: problem?.at(name),
    onChange: (event: { currentTarget: HTMLInputElement }) => {
      const { value } = event.currentTarget;
      setFields((before) => ({ ...before, [name]: value }));
    },
  });
  const submit = (event: FormEvent) => {
    event.preventDefault();
    entry.mutate();
  };
  if (!token) {
    return (
      <AuthScreen title={t("auth.welcome")} lead={t("auth.welcomeLead")}>
        <Stack gap="md">
          <Alert color="yellow" title={t("auth.noToken")}>
            {t("auth.noTokenHint")}
          </Alert>
          <LinkButton variant="default" to="/sign-in">
            {t("auth.toSignIn")}
          </LinkButton>
        </Stack>
      </AuthScreen>
    );
  }
  return (
    <AuthScreen title={t("auth.welcome")} lead={t("auth.welcomeLead")}>
      <form onSubmit={submit}>
        <Stack gap="md">
          {problem && <ProblemAlert error={problem} />}
          <TextInput {...field("username")} autoComplete="username" required />
          <TextInput {...field("display_name")} autoComplete="name" autoFocus required />
          <TextInput {...field("email")} type="email" autoComplete="email" required />
          <PasswordInput
            {...field("password")}
            description={t("auth.passwordRule", { count: SHORTEST_PASSWORD })}
            autoComplete="new-password"
            minLength={SHORTEST_PASSWORD}
            required
          />
          <Button type="submit" fullWidth loading={entry.isPending} mt="xs">
            {t("auth.createAccount")}
          </Button>
        </Stack>
      </form>
    </AuthScreen>
  );
}
