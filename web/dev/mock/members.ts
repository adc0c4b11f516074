/** Who belongs to a tenant. The last owner stays one. */
import type { MemberBody, MemberView, RoleBody } from "../../.client";
import { now, type State } from "./state.ts";
import { answer, type Call, page, Refused, type Routes } from "./wire.ts";

const MEMBERS = "/tenants/{tenant_id}/members";

export function memberRoutes(house: State): Routes {
  const memberOf = ({ user_id }: Record<string, string>): MemberView => {
    const member = house.members.find((one) => one.user_id === user_id);
    if (!member) throw new Refused(404, "no-such-member", "They do not belong to this tenant.");
    return member;
  };
  const keepAnOwner = (member: MemberView) => {
    const owners = house.members.filter((one) => one.role === "owner");
    if (owners.length > 1 || owners[0] !== member) return;
    const hint = "Make somebody else an owner first.";
    throw new Refused(409, "last-owner", "A tenant has at least one owner.", { hint });
  };
  return {
    [`GET ${MEMBERS}`]: ({ query }: Call) => {
      const rows = house.members.map((member) => ({ ...member, id: member.user_id }));
      return page(rows, query);
    },
    [`POST ${MEMBERS}`]: ({ body }: Call<MemberBody>) => {
      if (body.user === "nobody") {
        const errors = [{ field: "user", message: "There is no user 'nobody'." }];
        throw new Refused(422, "no-such-user", "There is no user 'nobody'.", { errors });
      }
      return answer(201, addMember(house, body.user, body.role));
    },
    [`PUT ${MEMBERS}/{user_id}`]: ({ path, body }: Call<RoleBody>) => {
      const member = memberOf(path);
      if (body.role !== "owner") keepAnOwner(member);
      return Object.assign(member, body);
    },
    [`DELETE ${MEMBERS}/{user_id}`]: ({ path }: Call) => {
      const member = memberOf(path);
      keepAnOwner(member);
      house.members = house.members.filter((one) => one !== member);
    },
  };
}

export function addMember(house: State, username: string, role: MemberView["role"]): MemberView {
  const mine = username === house.user.username;
  const member: MemberView = {
    user_id: mine ? house.user.id : house.id("user"),
    username,
    display_name: mine ? house.user.display_name : "",
    email: `${username}@example.org`,
    active: true,
    role,
    since: now(),
  };
  house.members.push(member);
  return member;
}
