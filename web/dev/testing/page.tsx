/** Opens the whole console at an address, over a scripted house, as a person would see it. */
import { cleanup, render, screen } from "@testing-library/react";
import userEvent, { type UserEvent } from "@testing-library/user-event";
import { afterEach, vi } from "vitest";
import type { PostView } from "../../.client";
import { cache } from "../../src/api/cache";
import { configureClient, credentials } from "../../src/api/http";
import { App } from "../../src/app";
import { startAuth } from "../../src/auth/state";
import { startI18n } from "../../src/i18n";
import { router } from "../../src/router";
import { type House, house as newHouse } from "../mock/house";

export type Visit = {
  user: UserEvent;
  /** What the console sent, as `PATCH /agents/7` and the body. */
  sent: { address: string; body: unknown }[];
};

configureClient();

afterEach(() => {
  cleanup();
  credentials.accept(null);
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
  await startI18n();
  house.signedIn = true;
  localStorage.setItem("longhouse-signed-in", "yes");
  vi.stubGlobal("fetch", async (input: RequestInfo | URL, init?: RequestInit) => {
    const request = new Request(input, init);
    if (request.method !== "GET") sent.push(await told(request.clone()));
    const response = await house.answer(request);
    if (!response) throw new TypeError("there is no such server");
    return response;
  });
  await startAuth();
  router.history.push(address);
  render(<App />);
  await screen.findByRole("navigation");
  return { user: userEvent.setup(), sent };
}

async function told(request: Request) {
  const path = new URL(request.url).pathname.replace("/api/v1", "");
  const text = await request.text();
  return { address: `${request.method} ${path}`, body: text ? JSON.parse(text) : undefined };
}
