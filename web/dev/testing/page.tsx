/** Opens the whole console at an address, over a scripted house, as a person would see it. */
import { cleanup, render, screen } from "@testing-library/react";
import userEvent, { type UserEvent } from "@testing-library/user-event";
import { afterEach, vi } from "vitest";
import type { PostView } from "../../.client";
import { cache } from "../../src/api/cache";
import { configureClient, credentials } from "../../src/api/http";
import { chooseTenant, TENANT_HEADER } from "../../src/api/tenant";
import { App } from "../../src/app";
import { startAuth } from "../../src/auth/state";
import { startI18n } from "../../src/i18n";
import { router } from "../../src/router";
import { type House, house as newHouse } from "../mock/house";

export type Visit = {
  user: UserEvent;
  /** What the console sent, as `PATCH /agents/7` and the body. */
  sent: { address: string; body: unknown }[];
  /** Everything it asked for, and in which tenant. */
  asked: { address: string; tenant: string | null }[];
};

configureClient();

afterEach(() => {
  cleanup();
  credentials.accept(null);
  chooseTenant(null);
  cache.clear();
  vi.unstubAllGlobals();
  localStorage.clear();
});

/** A house without pauses, with one post. */
export function smallHouse(): { house: House; engineer: PostView } {
  const house = newHouse(0);
  return { house, engineer: house.addPost("Engineer", "Changes code.") };
}

/** Opens an address as a signed-in person. */
export async function visit(house: House, address: string): Promise<Visit> {
  const sent: Visit["sent"] = [];
  const asked: Visit["asked"] = [];
  await startI18n();
  house.signedIn = true;
  localStorage.setItem("longhouse-signed-in", "yes");
  vi.stubGlobal("fetch", async (input: RequestInfo | URL, init?: RequestInit) => {
    const request = new Request(input, init);
    asked.push({ address: addressOf(request), tenant: request.headers.get(TENANT_HEADER) });
    if (request.method !== "GET") sent.push(await told(request.clone()));
    const response = await house.answer(request);
    if (!response) throw new TypeError("there is no such server");
    return response;
  });
  await startAuth();
  router.history.push(address);
  render(<App />);
  await screen.findByRole("main");
  return { user: userEvent.setup(), sent, asked };
}

function addressOf(request: Request): string {
  return `${request.method} ${new URL(request.url).pathname.replace("/api/v1", "")}`;
}

async function told(request: Request) {
  const text = await request.text();
  return { address: addressOf(request), body: text ? JSON.parse(text) : undefined };
}
