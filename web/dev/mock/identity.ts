/** Who is there: setting up, signing in and out. */
import type { LoginBody, SetupBody } from "../../.client";
import { PASSWORD, type State } from "./state.ts";
import { answer, type Call, Refused, type Routes } from "./wire.ts";

const COOKIE = "longhouse_refresh";
const COOKIE_PATH = "Path=/api/v1/auth";

export function identityRoutes(house: State): Routes {
  const grant = (headers: Headers) => {
    headers.set("Set-Cookie", `${COOKIE}=1; HttpOnly; SameSite=Strict; ${COOKIE_PATH}`);
    return {
      access_token: `mock-${Date.now()}`,
      token_type: "bearer",
      expires_in: 900,
      refresh_token: "mock",
      user: house.user,
      tenants: house.tenants,
    };
  };
  return {
    "GET /setup": () => ({ needed: house.setupNeeded }),
    "POST /setup": ({ body, headers }: Call<SetupBody>) => {
      if (body.token !== "mock") {
        const hint = "Restart the server to get a new one.";
        throw new Refused(403, "bad-token", "This link is not valid any more.", { hint });
      }
      house.setupNeeded = false;
      return answer(201, grant(headers));
    },
    "POST /auth/login": ({ body, headers }: Call<LoginBody>) => {
      if (body.password !== PASSWORD) {
        const hint = "Names and passwords are case sensitive.";
        throw new Refused(401, "wrong-credentials", "User name or password is wrong.", { hint });
      }
      return grant(headers);
    },
    "POST /auth/refresh": ({ request, headers }: Call) => {
      const cookie = request.headers.get("cookie") ?? "";
      if (!house.signedIn && !cookie.includes(`${COOKIE}=1`)) {
        throw new Refused(401, "signed-out", "Nobody is signed in.");
      }
      return grant(headers);
    },
    "POST /auth/logout": ({ headers }: Call) => {
      headers.set("Set-Cookie", `${COOKIE}=; Max-Age=0; ${COOKIE_PATH}`);
    },
    "GET /auth/me": () => ({
      user: house.user,
      tenant: house.tenants[0],
      tenants: house.tenants,
    }),
  };
}
