/** The tenants of the server, for its admins; one's own, for who manages one. */
import {
  ActionIcon,
  Badge,
  Button,
  Group,
  Menu,
  Modal,
  Stack,
  Textarea,
  TextInput,
} from "@mantine/core";
import { IconBuilding, IconDots, IconPlus } from "@tabler/icons-react";
import { useInfiniteQuery, useMutation, useQueryClient } from "@tanstack/react-query";
import { getRouteApi } from "@tanstack/react-router";
import { type FormEvent, useState } from "react";
import { useTranslation } from "react-i18next";
import { createTenant, deleteTenant, restoreTenant, updateTenant } from "../../.client";
import { credentials, data } from "../api/http";
import { asProblem } from "../api/problem";
import { tenantsQuery } from "../api/queries";
import type { Tenant } from "../api/types";
import { useAuth } from "../auth/state";
import { ConfirmByName } from "../shell/ConfirmByName";
import { CopyIdItem } from "../shell/CopyId";
import { EmptyState } from "../shell/EmptyState";
import { List } from "../shell/List";
import list from "../shell/list.module.css";
import { PageHeader } from "../shell/PageHeader";
import { ProblemAlert } from "../shell/ProblemAlert";
import { SearchField } from "../shell/SearchField";
import { Time } from "../shell/Time";
import { toastProblem } from "../shell/toast";
import classes from "./tenants.module.css";

const route = getRouteApi("/app/settings/tenants");

export function TenantsPage() {
  const { t } = useTranslation();
  const { search } = route.useSearch();
  const navigate = route.useNavigate();
  const auth = useAuth();
  const tenants = useInfiniteQuery(tenantsQuery(search));
  const [edited, setEdited] = useState<Tenant | "new" | null>(null);
  const [leaving, setLeaving] = useState<Tenant | null>(null);
  const admin = auth.status === "signed-in" && auth.user.role === "admin";
  return (
    <>
      <PageHeader title={t("tenants.title")} lead={t("tenants.lead")}>
        {admin && (
          <Button leftSection={<IconPlus size={16} />} onClick={() => setEdited("new")}>
            {t("tenants.new")}
          </Button>
        )}
      </PageHeader>
      <div className={list.filters}>
        <SearchField
          label={t("tenants.search")}
          value={search}
          onChange={(text) => void navigate({ search: { search: text }, replace: true })}
        />
      </div>
      <List
        query={tenants}
        label={t("tenants.title")}
        keyOf={(tenant) => tenant.id}
        empty={
          <EmptyState icon={<IconBuilding size={34} stroke={1.4} />} title={t("tenants.none")}>
            {t("tenants.noneHint")}
          </EmptyState>
        }
      >
        {(tenant) => (
          <TenantRow tenant={tenant} admin={admin} onEdit={setEdited} onDelete={setLeaving} />
        )}
      </List>
      {edited && (
        <TenantForm tenant={edited === "new" ? null : edited} onClose={() => setEdited(null)} />
      )}
      {leaving && <DeleteTenant tenant={leaving} onClose={() => setLeaving(null)} />}
    </>
  );
}

type RowProps = {
  tenant: Tenant;
  admin: boolean;
  onEdit: (tenant: Tenant) => void;
  onDelete: (tenant: Tenant) => void;
};

function TenantRow({ tenant, admin, onEdit, onDelete }: RowProps) {
  const { t } = useTranslation();
  const told = useTold();
  const path = { tenant_id: tenant.id };
  const change = useMutation({
    mutationFn: (to: "active" | "suspended" | "restored") =>
      data(
        to === "restored" ? restoreTenant({ path }) : updateTenant({ path, body: { status: to } }),
      ),
    onSuccess: told,
    onError: toastProblem,
  });
  return (
    <div className={`${list.row} ${classes.row}`} data-testid="tenant">
      <div>
        <div className={list.name}>{tenant.name}</div>
        <div className={list.sub}>{tenant.description || tenant.contact_email || tenant.id}</div>
      </div>
      <div>
        {tenant.status !== "active" && (
          <Badge className={classes.status} data-status={tenant.status}>
            {t(`tenants.status.${tenant.status}`)}
          </Badge>
        )}
      </div>
      <div className={list.figure}>
        <Time time={tenant.created_at} />
      </div>
      <Menu position="bottom-end">
        <Menu.Target>
          <ActionIcon
            variant="subtle"
            color="gray"
            size={36}
            loading={change.isPending}
            aria-label={t("tenants.menuOf", { name: tenant.name })}
          >
            <IconDots size={18} />
          </ActionIcon>
        </Menu.Target>
        <Menu.Dropdown>
          {tenant.status !== "deleted" && (
            <Menu.Item onClick={() => onEdit(tenant)}>{t("action.edit")}</Menu.Item>
          )}
          <CopyIdItem id={tenant.id} />
          {admin && tenant.status === "active" && (
            <Menu.Item onClick={() => change.mutate("suspended")}>{t("tenants.suspend")}</Menu.Item>
          )}
          {admin && tenant.status === "suspended" && (
            <Menu.Item onClick={() => change.mutate("active")}>{t("tenants.activate")}</Menu.Item>
          )}
          {tenant.status === "deleted" ? (
            <Menu.Item onClick={() => change.mutate("restored")}>{t("tenants.restore")}</Menu.Item>
          ) : (
            <Menu.Item color="red" onClick={() => onDelete(tenant)}>
              {t("tenants.delete")}
            </Menu.Item>
          )}
        </Menu.Dropdown>
      </Menu>
    </div>
  );
}

function TenantForm({ tenant, onClose }: { tenant: Tenant | null; onClose: () => void }) {
  const { t } = useTranslation();
  const told = useTold();
  const [name, setName] = useState(tenant?.name ?? "");
  const [description, setDescription] = useState(tenant?.description ?? "");
  const [email, setEmail] = useState(tenant?.contact_email ?? "");
  const saving = useMutation({
    mutationFn: () => {
      const body = { name: name.trim(), description: description.trim() };
      return tenant
        ? data(
            updateTenant({
              path: { tenant_id: tenant.id },
              body: { ...body, contact_email: email.trim() },
            }),
          )
        : data(createTenant({ body: { ...body, contact_email: email.trim() || null } }));
    },
    onSuccess: () => {
      told();
      onClose();
    },
  });
  const problem = saving.isError ? asProblem(saving.error) : null;
  const submit = (event: FormEvent) => {
    event.preventDefault();
    saving.mutate();
  };
  return (
    <Modal opened onClose={onClose} title={tenant ? tenant.name : t("tenants.new")} centered>
      <form onSubmit={submit}>
        <Stack gap="md">
          <TextInput
            label={t("tenants.name")}
            required
            maxLength={100}
            data-autofocus
            value={name}
            error={problem?.at("name")}
            onChange={(event) => setName(event.currentTarget.value)}
          />
          <Textarea
            label={t("tenants.description")}
            autosize
            minRows={2}
            maxRows={8}
            value={description}
            error={problem?.at("description")}
            onChange={(event) => setDescription(event.currentTarget.value)}
          />
          <TextInput
            label={t("tenants.email")}
            type="email"
            value={email}
            error={problem?.at("contact_email")}
            onChange={(event) => setEmail(event.currentTarget.value)}
          />
          {problem && <ProblemAlert error={problem} />}
          <Group justify="flex-end">
            <Button variant="default" onClick={onClose}>
              {t("action.cancel")}
            </Button>
            <Button type="submit" loading={saving.isPending}>
              {t("action.save")}
            </Button>
          </Group>
        </Stack>
      </form>
    </Modal>
  );
}

function DeleteTenant({ tenant, onClose }: { tenant: Tenant; onClose: () => void }) {
  const { t } = useTranslation();
  const told = useTold();
  const deletion = useMutation({
    mutationFn: () => deleteTenant({ path: { tenant_id: tenant.id } }),
    onSuccess: () => {
      told();
      onClose();
    },
  });
  return (
    <ConfirmByName
      opened
      onClose={onClose}
      title={t("tenants.deleteTitle", { name: tenant.name })}
      loss={t("tenants.deleteLoss")}
      name={tenant.name}
      action={t("tenants.delete")}
      pending={deletion.isPending}
      error={deletion.error}
      onConfirm={() => deletion.mutate()}
    />
  );
}

/** After a change: the list is read anew, and so is which tenants one may switch to. */
function useTold(): () => void {
  const queries = useQueryClient();
  return () => {
    void queries.invalidateQueries({ queryKey: ["tenants"] });
    void credentials.refresh().catch(toastProblem);
  };
}
