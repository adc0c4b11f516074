/** Before something is lost for good: says what, and wants its name typed. */
import { Button, Group, Modal, Stack, Text, TextInput } from "@mantine/core";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { ProblemAlert } from "./ProblemAlert";

type Props = {
  opened: boolean;
  onClose: () => void;
  title: string;
  loss: string;
  name: string;
  action: string;
  pending: boolean;
  error: unknown;
  onConfirm: () => void;
};

export function ConfirmByName(props: Props) {
  const { t } = useTranslation();
  const [typed, setTyped] = useState("");
  const matches = typed.trim() === props.name.trim();
  return (
    <Modal opened={props.opened} onClose={props.onClose} title={props.title} centered>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          if (matches) props.onConfirm();
        }}
      >
        <Stack gap="md">
          <Text size="sm">{props.loss}</Text>
          <TextInput
            label={t("confirm.typeName", { name: props.name })}
            data-autofocus
            autoComplete="off"
            value={typed}
            onChange={(event) => setTyped(event.currentTarget.value)}
          />
          {props.error !== null && props.error !== undefined && (
            <ProblemAlert error={props.error} />
          )}
          <Group justify="flex-end">
            <Button variant="default" onClick={props.onClose}>
              {t("action.cancel")}
            </Button>
            <Button type="submit" color="red" disabled={!matches} loading={props.pending}>
              {props.action}
            </Button>
          </Group>
        </Stack>
      </form>
    </Modal>
  );
}
