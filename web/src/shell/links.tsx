/** Mantine's parts as links of the router, with its checked addresses. */
import { Button, type ButtonProps, Menu, type MenuItemProps } from "@mantine/core";
import { createLink } from "@tanstack/react-router";
import type { ComponentPropsWithRef } from "react";

type AnchorProps = Omit<ComponentPropsWithRef<"a">, keyof ButtonProps>;
type ItemAnchorProps = Omit<ComponentPropsWithRef<"a">, keyof MenuItemProps>;

export const LinkButton = createLink((props: ButtonProps & AnchorProps) => (
  <Button component="a" {...props} />
));

export const LinkItem = createLink((props: MenuItemProps & ItemAnchorProps) => (
  <Menu.Item component="a" {...props} />
));
