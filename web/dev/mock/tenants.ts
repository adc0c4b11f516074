/** Tenants: made, changed, suspended, deleted and restored. */
import type { TenantBody, TenantDetails, TenantPatch } from "../../.client";
import { now, type State } from "./state.ts";
import { answer, type Call, found, page, Refused, type Routes } from "./wire.ts";

const TENANT = "/tenants/{tenant_id}";

export function tenantRoutes(house: State): Routes {
  return {
    "GET /tenants": ({ query }: Call) => {
      const search = (query.get("search") ?? "").toLowerCase();
      const named = house.organisations.filter((one) => one.name.toLowerCase().includes(search));
      return page(named, query);
    },
    "POST /tenants": ({ body }: Call<TenantBody>) => {
      if (house.organisations.some((tenant) => tenant.name === body.name)) {
        const message = `There is a tenant with the name '${body.name}' already.`;
        const errors = [{ field: "name", message }];
        throw new Refused(409, "tenant-name-taken", message, { errors });
      }
      const made = addTenant(house, body.name);
      house.tenants = [...house.tenants, { id: made.id, name: made.name, role: "owner" }];
      return answer(201, Object.assign(made, { description: body.description ?? "" }));
    },
    [`PATCH ${TENANT}`]: ({ path, body }: Call<TenantPatch>) =>
      Object.assign(found(house.organisations, path.tenant_id), body),
    [`DELETE ${TENANT}`]: ({ path }: Call) => {
      Object.assign(found(house.organisations, path.tenant_id), { status: "deleted" });
    },
    [`POST ${TENANT}/restore`]: ({ path }: Call) =>
      Object.assign(found(house.organisations, path.tenant_id), { status: "active" }),
  };
}

export function addTenant(house: State, name: string): TenantDetails {
  const tenant: TenantDetails = {
    id: house.id("tenant"),
    name,
    type: "enterprise",
    description: "",
    contact_email: null,
    config: {},
    status: "active",
    owner_id: house.user.id,
    created_at: now(),
    updated_at: now(),
    deleted_at: null,
  };
  house.organisations.unshift(tenant);
  return tenant;
}
