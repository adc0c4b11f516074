/** The tenants of who is signed in, which one is looked at, and the way to another. */
import { useRouter } from "@tanstack/react-router";
import { switchTenant, useAuth } from "./state";

export function useTenants() {
  const auth = useAuth();
  const router = useRouter();
  const { tenants, tenant } = auth.status === "signed-in" ? auth : { tenants: [] };
  /** Goes to what every tenant has; stays where a form with changes holds one back. */
  const goTo = async (id: string) => {
    await router.navigate({ to: "/agents" });
    if (router.state.location.pathname === "/agents") switchTenant(id);
  };
  return { tenants, tenant, goTo };
}
