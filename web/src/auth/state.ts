/**
 * Who is signed in, for components and for the router's guard. The tokens themselves are in
 * `api/credentials`; here is only what people see.
 */
import { useSyncExternalStore } from "react";
import { login, logout, postSetup } from "../../.client";
import { cache } from "../api/cache";
import { credentials, data } from "../api/http";
import { asProblem, type Problem } from "../api/problem";
import { chooseTenant, chosenTenant } from "../api/tenant";
import type { TenantRef, Tokens, User } from "../api/types";

export type AuthState =
  | { status: "starting" }
  | { status: "signed-out" }
  | { status: "unreachable"; problem: Problem }
  | SignedIn;

export type SignedIn = {
  status: "signed-in";
  user: User;
  tenants: readonly TenantRef[];
  /** The one that is looked at; undefined for a user who is in none. */
  tenant: TenantRef | undefined;
};

let state: AuthState = { status: "starting" };
const listeners = new Set<() => void>();

/** Remembers that this browser may hold a login's cookie, so that strangers ask the server nothing. */
const STORED = "longhouse-signed-in";

credentials.onChange((tokens) => {
  remember(tokens !== null);
  set(stateOf(tokens));
});

/** Takes up the login that the browser's cookie holds, if it holds one. */
export async function startAuth(): Promise<void> {
  if (!mayBeSignedIn()) {
    set({ status: "signed-out" });
    return;
  }
  set({ status: "starting" });
  try {
    await credentials.refresh();
  } catch (error) {
    set({ status: "unreachable", problem: asProblem(error) });
  }
}

export async function signIn(username: string, password: string): Promise<void> {
  credentials.accept(await data(login({ body: { username, password } })));
}

export type FirstUser = {
  token: string;
  username: string;
  password: string;
  email: string;
  display_name: string;
};

export async function setUp(body: FirstUser): Promise<void> {
  credentials.accept(await data(postSetup({ body })));
}

/** Looks at another tenant: nothing that was read of the one before is kept. */
export function switchTenant(id: string): void {
  if (state.status !== "signed-in" || state.tenant?.id === id) return;
  chooseTenant(id);
  cache.clear();
  set({ ...state, ...placeIn(state.tenants) });
}

/** Revokes the login at the server; this browser forgets it whether or not the server answers. */
export async function signOut(): Promise<void> {
  try {
    await logout();
  } finally {
    credentials.accept(null);
  }
}

export function getAuth(): AuthState {
  return state;
}

export function onAuthChange(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

export function useAuth(): AuthState {
  return useSyncExternalStore(onAuthChange, getAuth);
}

function remember(signedIn: boolean): void {
  try {
    if (signedIn) localStorage.setItem(STORED, "yes");
    else localStorage.removeItem(STORED);
  } catch {
    // Storage is switched off: the server is asked each time.
  }
}

function mayBeSignedIn(): boolean {
  try {
    return localStorage.getItem(STORED) === "yes";
  } catch {
    return true;
  }
}

function stateOf(tokens: Tokens | null): AuthState {
  if (!tokens) return { status: "signed-out" };
  return { status: "signed-in", user: tokens.user, ...placeIn(tokens.tenants) };
}

/** The chosen tenant, while the user is still in it; else the first. */
function placeIn(tenants: readonly TenantRef[]): Pick<SignedIn, "tenants" | "tenant"> {
  const chosen = tenants.find((tenant) => tenant.id === chosenTenant());
  if (!chosen) chooseTenant(null);
  return { tenants, tenant: chosen ?? tenants[0] };
}

function set(next: AuthState): void {
  state = next;
  for (const listener of listeners) listener();
}
