/** Which tenant is looked at, and the way to another. Not there for who is in one only. */
import { Menu, UnstyledButton } from "@mantine/core";
import { IconBuilding, IconSelector } from "@tabler/icons-react";
import { useTranslation } from "react-i18next";
import { useTenants } from "../auth/useTenants";
import classes from "./shell.module.css";

export function TenantSwitch() {
  const { t } = useTranslation();
  const { tenants, tenant, goTo } = useTenants();
  if (!tenant || tenants.length < 2) return null;
  return (
    <Menu position="bottom-start" width={240} withinPortal>
      <Menu.Target>
        <UnstyledButton
          className={classes.link}
          title={tenant.name}
          aria-label={t("tenant.switchFrom", { name: tenant.name })}
        >
          <IconBuilding size={18} stroke={1.75} aria-hidden />
          <span className={classes.label}>{tenant.name}</span>
          <IconSelector size={14} className={classes.label} aria-hidden />
        </UnstyledButton>
      </Menu.Target>
      <Menu.Dropdown className={classes.menu}>
        <Menu.Label>{t("tenant.switch")}</Menu.Label>
        <Menu.RadioGroup value={tenant.id} onChange={(id) => void goTo(id)}>
          {tenants.map((one) => (
            <Menu.RadioItem key={one.id} value={one.id} closeMenuOnClick>
              {one.name}
            </Menu.RadioItem>
          ))}
        </Menu.RadioGroup>
      </Menu.Dropdown>
    </Menu>
  );
}
