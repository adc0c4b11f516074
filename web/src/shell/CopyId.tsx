/** Copies an id, as an item of a menu: what one gives `curl` or asks the log for. */
import { Menu } from "@mantine/core";
import { useClipboard } from "@mantine/hooks";
import { IconCopy } from "@tabler/icons-react";
import { useTranslation } from "react-i18next";
import { toast } from "./toast";

export function CopyIdItem({ id }: { id: string }) {
  const { t } = useTranslation();
  const clipboard = useClipboard();
  return (
    <Menu.Item
      leftSection={<IconCopy size={16} />}
      onClick={() => {
        clipboard.copy(id);
        toast(t("action.copied", { text: id }));
      }}
    >
      {t("action.copyId")}
    </Menu.Item>
  );
}
