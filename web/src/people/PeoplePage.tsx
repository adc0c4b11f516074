/** Who belongs to the tenant, and with which role. */
import { ActionIcon, Badge, Button, Group, Modal, Select, Stack, TextInput } from "@mantine/core";
import { useDisclosure } from "@mantine/hooks";
import { IconPlus, IconUserMinus, IconUsers } from "@tabler/icons-react";
import { useInfiniteQuery, useMutation, useQueryClient } from "@tanstack/react-query";
import { type FormEvent, useState } from "react";
import { useTranslation } from "react-i18next";
import { addMember, changeMember, removeMember } from "../../.client";
import { data } from "../api/http";
import { asProblem } from "../api/problem";
import { membersQuery } from "../api/queries";
import type { Member, TenantRole } from "../api/types";
import { useAuth } from "../auth/state";
import { useTenants } from "../auth/useTenants";
import { ConfirmByName } from "../shell/ConfirmByName";
import { EmptyState } from "../shell/EmptyState";
import { List } from "../shell/List";
import list from "../shell/list.module.css";
import { PageHeader } from "../shell/PageHeader";
import { ProblemAlert } from "../shell/ProblemAlert";
import { toast, toastProblem } from "../shell/toast";
import classes from "./people.module.css";

export const ROLES = ["owner", "admin", "member", "viewer"] as const satisfies TenantRole[];

export function PeoplePage() {
  const { tenant } = useTenants();
  return tenant ? <People tenantId={tenant.id} tenantName={tenant.name} /> : null;
}

type PeopleProps = { tenantId: string; tenantName: string };

function People({ tenantId, tenantName }: PeopleProps) {
  const { t } = useTranslation();
  const members = useInfiniteQuery(membersQuery(tenantId));
  const [adding, form] = useDisclosure(false);
  const [leaving, setLeaving] = useState<Member | null>(null);
  return (
    <>
      <PageHeader title={t("people.title")} lead={t("people.lead", { tenant: tenantName })}>
        <Button leftSection={<IconPlus size={16} />} onClick={form.open}>
          {t("people.add")}
        </Button>
      </PageHeader>
      <List
        query={members}
        label={t("people.title")}
        keyOf={(member) => member.user_id}
        empty={
          <EmptyState icon={<IconUsers size={34} stroke={1.4} />} title={t("people.none")}>
            {t("people.noneHint")}
          </EmptyState>
        }
      >
        {(member) => <MemberRow tenantId={tenantId} member={member} onRemove={setLeaving} />}
      </List>
      {adding && <AddMember tenantId={tenantId} onClose={form.close} />}
      {leaving && (
        <RemoveMember tenantId={tenantId} member={leaving} onClose={() => setLeaving(null)} />
      )}
    </>
  );
}

type RowProps = { tenantId: string; member: Member; onRemove: (member: Member) => void };

function MemberRow({ tenantId, member, onRemove }: RowProps) {
  const { t } = useTranslation();
  const auth = useAuth();
  const queries = useQueryClient();
  const name = member.display_name || member.username;
  const change = useMutation({
    mutationFn: (role: TenantRole) =>
      data(
        changeMember({ path: { tenant_id: tenantId, user_id: member.user_id }, body: { role } }),
      ),
    onSuccess: ({ role }) => toast(t("people.changed", { name, role: t(`role.${role}`) })),
    onError: toastProblem,
    onSettled: () => queries.invalidateQueries({ queryKey: ["members", tenantId] }),
  });
  const isMe = auth.status === "signed-in" && auth.user.id === member.user_id;
  return (
    <div className={`${list.row} ${classes.row}`} data-testid="member">
      <div>
        <div className={list.name}>
          {name} {isMe && <Badge ml={6}>{t("people.you")}</Badge>}
          {!member.active && (
            <Badge ml={6} color="gray">
              {t("people.inactive")}
            </Badge>
          )}
        </div>
        <div className={list.sub}>
          {member.username} · {member.email}
        </div>
      </div>
      <Select
        aria-label={t("people.roleOf", { name })}
        allowDeselect={false}
        data={ROLES.map((role) => ({ value: role, label: t(`role.${role}`) }))}
        value={change.isPending ? change.variables : member.role}
        onChange={(value) => {
          const role = ROLES.find((one) => one === value);
          if (role && role !== member.role) change.mutate(role);
        }}
      />
      <ActionIcon
        variant="subtle"
        color="gray"
        size={36}
        aria-label={t("people.removeOf", { name })}
        onClick={() => onRemove(member)}
      >
        <IconUserMinus size={17} />
      </ActionIcon>
    </div>
  );
}

function AddMember({ tenantId, onClose }: { tenantId: string; onClose: () => void }) {
  const { t } = useTranslation();
  const queries = useQueryClient();
  const [user, setUser] = useState("");
  const [role, setRole] = useState<TenantRole>("member");
  const adding = useMutation({
    mutationFn: () =>
      data(addMember({ path: { tenant_id: tenantId }, body: { user: user.trim(), role } })),
    onSuccess: (member) => {
      void queries.invalidateQueries({ queryKey: ["members", tenantId] });
      toast(t("people.added", { name: member.display_name || member.username }));
      onClose();
    },
  });
  const problem = adding.isError ? asProblem(adding.error) : null;
  const submit = (event: FormEvent) => {
    event.preventDefault();
    adding.mutate();
  };
  return (
    <Modal opened onClose={onClose} title={t("people.add")} centered>
      <form onSubmit={submit}>
        <Stack gap="md">
          <TextInput
            label={t("people.user")}
            description={t("people.userHint")}
            required
            data-autofocus
            value={user}
            error={problem?.at("user")}
            onChange={(event) => setUser(event.currentTarget.value)}
          />
          <Select
            label={t("people.role")}
            description={t(`people.roleHint.${role}`)}
            allowDeselect={false}
            data={ROLES.map((one) => ({ value: one, label: t(`role.${one}`) }))}
            value={role}
            onChange={(value) => setRole(ROLES.find((one) => one === value) ?? role)}
          />
          {problem && <ProblemAlert error={problem} />}
          <Group justify="flex-end">
            <Button variant="default" onClick={onClose}>
              {t("action.cancel")}
            </Button>
            <Button type="submit" loading={adding.isPending}>
              {t("people.add")}
            </Button>
          </Group>
        </Stack>
      </form>
    </Modal>
  );
}

type RemoveProps = { tenantId: string; member: Member; onClose: () => void };

function RemoveMember({ tenantId, member, onClose }: RemoveProps) {
  const { t } = useTranslation();
  const queries = useQueryClient();
  const name = member.display_name || member.username;
  const removal = useMutation({
    mutationFn: () => removeMember({ path: { tenant_id: tenantId, user_id: member.user_id } }),
    onSuccess: () => {
      void queries.invalidateQueries({ queryKey: ["members", tenantId] });
      onClose();
    },
  });
  return (
    <ConfirmByName
      opened
      onClose={onClose}
      title={t("people.removeTitle", { name })}
      loss={t("people.removeLoss")}
      name={member.username}
      action={t("people.remove")}
      pending={removal.isPending}
      error={removal.error}
      onConfirm={() => removal.mutate()}
    />
  );
}
