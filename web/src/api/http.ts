/**
 * The one way to the server: `fetch` with the access token, one refresh and one repeat after a 401,
 * and problems instead of bare failures. The generated client and the event stream both use it.
 */
import { client } from "../../.client/client.gen";
import { Credentials } from "./credentials";
import { Problem, problemFrom, unreachable } from "./problem";
import { chosenTenant, TENANT_HEADER } from "./tenant";
import type { Tokens } from "./types";

export const BASE = "/api/v1";

/** Answers of `/auth/refresh` that mean: nobody is signed in here. */
const SIGNED_OUT = new Set([400, 401, 403, 422]);

export const credentials = new Credentials(() => alone(exchangeCookie));

/** `fetch` for the API. Rejects with a Problem when no server answers. */
export async function authorizedFetch(input: RequestInfo | URL, init?: RequestInit) {
  const request = new Request(input, init);
  const token = credentials.token;
  const first = await send(request.clone(), token);
  if (first.status !== 401 || token === null || isAuthCall(request.url)) return first;
  // Another request may have refreshed while this one was on its way.
  const fresh = credentials.token !== token ? credentials.token : await refreshedToken();
  return fresh ? send(request, fresh) : first;
}

/** Puts the generated client on `authorizedFetch`. Called once, by main. */
export function configureClient(): void {
  client.setConfig({ baseUrl: "", fetch: authorizedFetch, throwOnError: true });
  client.interceptors.error.use((error, response) => {
    if (error instanceof Problem) return error;
    return response ? problemFrom(error, response) : unreachable(error);
  });
}

/** Unwraps what the generated client returns. */
export async function data<T>(answer: Promise<{ data: T }>): Promise<T> {
  return (await answer).data;
}

async function send(request: Request, token: string | null): Promise<Response> {
  if (token) request.headers.set("Authorization", `Bearer ${token}`);
  const tenant = chosenTenant();
  if (token && tenant) request.headers.set(TENANT_HEADER, tenant);
  try {
    return await fetch(request);
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
    throw unreachable(error);
  }
}

async function refreshedToken(): Promise<string | null> {
  return (await credentials.refresh())?.access_token ?? null;
}

async function exchangeCookie(): Promise<Tokens | null> {
  const request = new Request(new URL(`${BASE}/auth/refresh`, location.href), {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: "{}",
  });
  const response = await send(request, null);
  if (response.ok) return (await response.json()) as Tokens;
  if (SIGNED_OUT.has(response.status)) return null;
  throw problemFrom(await response.json().catch(() => null), response);
}

/** Tabs share one cookie, so they take turns; where the browser has no locks, they cannot. */
function alone<T>(work: () => Promise<T>): Promise<T> {
  if (!navigator.locks) return work();
  return navigator.locks.request("longhouse-refresh", work) as Promise<T>;
}

function isAuthCall(url: string): boolean {
  const path = new URL(url, location.href).pathname;
  return (
    path === `${BASE}/auth/login` || path === `${BASE}/auth/refresh` || path === `${BASE}/setup`
  );
}
