/**
 * The tenant that requests act in, where somebody is in several: chosen per browser, and sent by
 * `api/http` with every request. Null: the first one of the user.
 */
const STORED = "longhouse-tenant";
export const TENANT_HEADER = "X-Longhouse-Tenant";

let chosen: string | null = stored();

export function chosenTenant(): string | null {
  return chosen;
}

export function chooseTenant(id: string | null): void {
  chosen = id;
  try {
    if (id === null) localStorage.removeItem(STORED);
    else localStorage.setItem(STORED, id);
  } catch {
    // Storage is switched off: the choice lasts as long as the page.
  }
}

function stored(): string | null {
  try {
    return localStorage.getItem(STORED);
  } catch {
    return null;
  }
}
