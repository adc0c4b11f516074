/** Who did what to what, when, from where, with what outcome: searched, read, exported. */
import { Badge, Button, Menu, Select, Switch, TextInput, UnstyledButton } from "@mantine/core";
import { IconDownload, IconListSearch, IconX } from "@tabler/icons-react";
import { useInfiniteQuery, useMutation } from "@tanstack/react-query";
import { getRouteApi } from "@tanstack/react-router";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { exportAudit } from "../../.client";
import { data } from "../api/http";
import { auditEntriesQuery } from "../api/queries";
import type { AuditEntry } from "../api/types";
import { useAuth } from "../auth/state";
import { saveFile } from "../shell/download";
import { EmptyState } from "../shell/EmptyState";
import { List } from "../shell/List";
import list from "../shell/list.module.css";
import { PageHeader } from "../shell/PageHeader";
import { SearchField } from "../shell/SearchField";
import { Time } from "../shell/Time";
import { toastProblem } from "../shell/toast";
import classes from "./audit.module.css";
import { type AuditSearch, auditQuery, isFiltered, OUTCOMES } from "./search";

const route = getRouteApi("/app/settings/audit");

export function AuditPage() {
  const { t } = useTranslation();
  const search = route.useSearch();
  const navigate = route.useNavigate();
  const auth = useAuth();
  const entries = useInfiniteQuery(auditEntriesQuery(search));
  const change = (part: AuditSearch) =>
    void navigate({ search: (before) => ({ ...before, ...part }), replace: true });
  return (
    <>
      <PageHeader title={t("audit.title")} lead={t("audit.lead")}>
        <ExportButton search={search} />
      </PageHeader>
      <div className={list.filters}>
        <SearchField
          label={t("audit.action")}
          value={search.action}
          onChange={(action) => change({ action })}
        />
        <Select
          w={150}
          clearable
          aria-label={t("audit.outcome")}
          placeholder={t("audit.outcome")}
          data={OUTCOMES.map((value) => ({ value, label: t(`audit.outcomes.${value}`) }))}
          value={search.outcome ?? null}
          onChange={(value) => change({ outcome: OUTCOMES.find((one) => one === value) })}
        />
        <Day
          name={t("audit.from")}
          label={t("audit.fromDay")}
          value={search.from}
          onChange={(from) => change({ from })}
        />
        <Day
          name={t("audit.to")}
          label={t("audit.toDay")}
          value={search.to}
          onChange={(to) => change({ to })}
        />
        {auth.status === "signed-in" && auth.user.role === "admin" && (
          <Switch
            className={classes.server}
            label={t("audit.server")}
            checked={search.server ?? false}
            onChange={(event) => change({ server: event.currentTarget.checked || undefined })}
          />
        )}
      </div>
      <Chips search={search} onChange={change} />
      <List
        query={entries}
        label={t("audit.title")}
        keyOf={(entry) => entry.id}
        empty={
          <EmptyState
            icon={<IconListSearch size={34} stroke={1.4} />}
            title={t(isFiltered(search) ? "audit.noMatch" : "audit.none")}
          >
            {t(isFiltered(search) ? "audit.noMatchHint" : "audit.noneHint")}
          </EmptyState>
        }
      >
        {(entry) => <Entry entry={entry} onSearch={change} />}
      </List>
    </>
  );
}

type DayProps = {
  name: string;
  label: string;
  value: string | undefined;
  onChange: (day: string | undefined) => void;
};

function Day({ name, label, value, onChange }: DayProps) {
  return (
    <TextInput
      type="date"
      w={186}
      aria-label={label}
      leftSection={<span className={classes.dayName}>{name}</span>}
      leftSectionWidth={46}
      value={value ?? ""}
      onChange={(event) => onChange(event.currentTarget.value || undefined)}
    />
  );
}

type SearchProps = { search: AuditSearch; onChange: (part: AuditSearch) => void };

/** Whom and what the entries are narrowed to, by a click on one of them. */
function Chips({ search, onChange }: SearchProps) {
  const { t } = useTranslation();
  const chosen = (["actor", "target"] as const).filter((name) => search[name]);
  if (chosen.length === 0) return null;
  return (
    <div className={classes.chips}>
      {chosen.map((name) => (
        <Badge
          key={name}
          rightSection={
            <UnstyledButton
              className={classes.remove}
              aria-label={t("audit.remove", { id: search[name] })}
              onClick={() => onChange({ [name]: undefined })}
            >
              <IconX size={12} />
            </UnstyledButton>
          }
        >
          {t(`audit.${name}`)}: {search[name]}
        </Badge>
      ))}
    </div>
  );
}

type EntryProps = { entry: AuditEntry; onSearch: (part: AuditSearch) => void };

function Entry({ entry, onSearch }: EntryProps) {
  const { t } = useTranslation();
  const [opened, setOpened] = useState(false);
  return (
    <div data-testid="audit-entry" data-outcome={entry.outcome}>
      <UnstyledButton
        className={`${list.row} ${classes.row}`}
        aria-expanded={opened}
        onClick={() => setOpened(!opened)}
      >
        <span className={classes.action}>{entry.action}</span>
        <span className={classes.ids}>
          <ActorName entry={entry} /> → <code>{entry.target}</code>
        </span>
        <span>
          {entry.outcome === "refused" && (
            <Badge color="red" variant="light">
              {t("audit.outcomes.refused")}
            </Badge>
          )}
        </span>
        <span className={list.figure}>
          <Time time={entry.at} />
        </span>
      </UnstyledButton>
      {opened && <Details entry={entry} onSearch={onSearch} />}
    </div>
  );
}

function ActorName({ entry }: { entry: AuditEntry }) {
  const { t } = useTranslation();
  const auth = useAuth();
  const { kind, id } = entry.actor;
  if (auth.status === "signed-in" && id === auth.user.id) return t("audit.you");
  return id ? <code>{id}</code> : t(`audit.kind.${kind}`);
}

function Details({ entry, onSearch }: EntryProps) {
  const { t, i18n } = useTranslation();
  const { actor } = entry;
  const narrow = (name: "actor" | "target", id: string) => (
    <>
      <code>{id}</code>{" "}
      <UnstyledButton className={classes.narrow} onClick={() => onSearch({ [name]: id })}>
        {t("audit.narrow")}
      </UnstyledButton>
    </>
  );
  return (
    <dl className={classes.details}>
      <dt>{t("audit.time")}</dt>
      <dd>{new Date(entry.at).toLocaleString(i18n.language)}</dd>
      <dt>{t("audit.actor")}</dt>
      <dd>
        {t(`audit.kind.${actor.kind}`)} {actor.id && narrow("actor", actor.id)}
      </dd>
      <dt>{t("audit.target")}</dt>
      <dd>{narrow("target", entry.target)}</dd>
      {entry.reason && (
        <>
          <dt>{t("audit.reason")}</dt>
          <dd>{entry.reason}</dd>
        </>
      )}
      {actor.address && (
        <>
          <dt>{t("audit.address")}</dt>
          <dd>
            <code>{actor.address}</code>
          </dd>
        </>
      )}
      {actor.request_id && (
        <>
          <dt>{t("problem.requestId")}</dt>
          <dd>
            <code>{actor.request_id}</code>
          </dd>
        </>
      )}
      {(entry.before_digest || entry.after_digest) && (
        <>
          <dt>{t("audit.digests")}</dt>
          <dd>
            <code>{entry.before_digest?.slice(0, 12) ?? "–"}</code> →{" "}
            <code>{entry.after_digest?.slice(0, 12) ?? "–"}</code>
          </dd>
        </>
      )}
    </dl>
  );
}

const EXPORTS = [
  { format: "csv", file: "audit.csv", mediaType: "text/csv" },
  { format: "jsonl", file: "audit.jsonl", mediaType: "application/jsonl" },
] as const;

function ExportButton({ search }: { search: AuditSearch }) {
  const { t } = useTranslation();
  const download = useMutation({
    mutationFn: async ({ format, file, mediaType }: (typeof EXPORTS)[number]) => {
      const query = { ...auditQuery(search), format };
      saveFile(file, String(await data(exportAudit({ query, parseAs: "text" }))), mediaType);
    },
    onError: toastProblem,
  });
  return (
    <Menu position="bottom-end">
      <Menu.Target>
        <Button
          variant="default"
          leftSection={<IconDownload size={16} />}
          loading={download.isPending}
        >
          {t("audit.export")}
        </Button>
      </Menu.Target>
      <Menu.Dropdown>
        <Menu.Label>{t("audit.exportHint")}</Menu.Label>
        {EXPORTS.map((one) => (
          <Menu.Item key={one.format} onClick={() => download.mutate(one)}>
            {t(`audit.formats.${one.format}`)}
          </Menu.Item>
        ))}
      </Menu.Dropdown>
    </Menu>
  );
}
