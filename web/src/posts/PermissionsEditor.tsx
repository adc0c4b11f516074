/** What tool calls may do: the mode, and rules that go before it. Of a post, or an agent's own. */
import { ActionIcon, Button, SegmentedControl, Select, Text, TextInput } from "@mantine/core";
import { IconPlus, IconTrash } from "@tabler/icons-react";
import { useTranslation } from "react-i18next";
import type { Permissions } from "../api/types";
import classes from "./posts.module.css";

const MODES = ["ask", "auto", "read_only"] as const;
const VERDICTS = ["allow", "ask", "deny"] as const;

type Props = {
  value: Permissions;
  onChange: (value: Permissions) => void;
  /** What is wrong with the rule at this place. */
  errorAt: (rule: number) => string | undefined;
};

export function PermissionsEditor({ value, onChange, errorAt }: Props) {
  const { t } = useTranslation();
  const { mode, rules } = value;
  const set = (part: Partial<Permissions>) => onChange({ ...value, ...part });
  const setRule = (at: number, part: Partial<(typeof rules)[number]>) =>
    set({ rules: rules.map((rule, index) => (index === at ? { ...rule, ...part } : rule)) });
  return (
    <>
      <SegmentedControl
        mb={6}
        aria-label={t("posts.mode")}
        data={MODES.map((one) => ({ value: one, label: t(`permissions.${one}`) }))}
        value={mode}
        onChange={(one) => set({ mode: one as Permissions["mode"] })}
      />
      <Text size="sm" c="var(--lh-muted)" mb="md">
        {t(`permissions.hint.${mode}`)}
      </Text>
      <Text size="sm" fw={500} mb={2}>
        {t("posts.rules")}
      </Text>
      <Text size="sm" c="var(--lh-muted)" mb="sm">
        {t("posts.rulesHint")}
      </Text>
      {rules.map((rule, at) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: a rule has no name but its place
        <div key={at} className={classes.rule} data-testid="rule">
          <Select
            aria-label={t("posts.verdict")}
            allowDeselect={false}
            data={VERDICTS.map((one) => ({ value: one, label: t(`permissions.verdict.${one}`) }))}
            value={rule.verdict}
            onChange={(verdict) =>
              verdict && setRule(at, { verdict: verdict as typeof rule.verdict })
            }
          />
          <TextInput
            className={classes.mono}
            aria-label={t("posts.pattern")}
            placeholder="bash_run(npm test*)"
            value={rule.pattern}
            error={errorAt(at)}
            onChange={(event) => setRule(at, { pattern: event.currentTarget.value })}
          />
          <ActionIcon
            variant="subtle"
            color="gray"
            size={36}
            aria-label={t("posts.removeRule")}
            onClick={() => set({ rules: rules.filter((_, index) => index !== at) })}
          >
            <IconTrash size={16} />
          </ActionIcon>
        </div>
      ))}
      <Button
        size="xs"
        variant="default"
        leftSection={<IconPlus size={14} />}
        onClick={() => set({ rules: [...rules, { verdict: "allow", pattern: "" }] })}
      >
        {t("posts.addRule")}
      </Button>
    </>
  );
}
