/** Beside the conversation: the plan, where the session stands, what it used. */
import { IconCircle, IconCircleCheckFilled, IconCircleHalf2 } from "@tabler/icons-react";
import { useQuery } from "@tanstack/react-query";
import type { ReactNode } from "react";
import { useTranslation } from "react-i18next";
import { sessionQuery } from "../api/queries";
import type { Agent } from "../api/types";
import { count } from "../shell/format";
import { Tokens } from "../shell/Tokens";
import type { Todo } from "./events";
import type { SessionView } from "./fold";
import { usePlace } from "./place";
import classes from "./session.module.css";

const ICONS = {
  pending: IconCircle,
  in_progress: IconCircleHalf2,
  completed: IconCircleCheckFilled,
} as const;

export function Details({ view, agent }: { view: SessionView; agent: Agent | undefined }) {
  return (
    <>
      <Plan todos={view.todos} />
      <Facts view={view} agent={agent} />
    </>
  );
}

function Plan({ todos }: { todos: readonly Todo[] }) {
  const { t } = useTranslation();
  const done = todos.filter((todo) => todo.status === "completed").length;
  return (
    <section className={classes.panel} data-testid="todos" aria-label={t("todos.title")}>
      <div className={classes.panelHead}>
        <h2>{t("todos.title")}</h2>
        {todos.length > 0 && <span>{t("todos.progress", { done, total: todos.length })}</span>}
      </div>
      {todos.length === 0 && <Muted>{t("todos.none")}</Muted>}
      <ul className={classes.todos}>
        {todos.map((todo) => {
          const status = todo.status ?? "pending";
          const Icon = ICONS[status];
          return (
            <li key={todo.id} data-status={status}>
              <Icon size={16} aria-label={t(`todos.${status}`)} />
              {todo.title}
            </li>
          );
        })}
      </ul>
    </section>
  );
}

function Facts({ view, agent }: { view: SessionView; agent: Agent | undefined }) {
  const { t, i18n } = useTranslation();
  const number = (value: number) => count(value, i18n.language);
  const { usage } = view;
  const { agentId, sessionId } = usePlace();
  const { data: session } = useQuery(sessionQuery(agentId, sessionId));
  const { input = 0, output = 0 } = session?.sub_agents_usage ?? {};
  const delegated = input + output;
  const unused = usage.input + usage.output === 0;
  return (
    <section className={classes.panel} aria-label={t("facts.title")} data-testid="facts">
      <div className={classes.panelHead}>
        <h2>{t("facts.title")}</h2>
      </div>
      <dl className={classes.facts}>
        <Fact label={t("facts.turn")}>
          {view.turn > 0 ? number(view.turn) : t("facts.notBegun")}
        </Fact>
        {view.step > 0 && <Fact label={t("facts.step")}>{number(view.step)}</Fact>}
        <Fact label={t("facts.model")}>{view.model || agent?.model}</Fact>
        {unused && (
          <Fact label={t("facts.tokens")}>
            <Tokens />
          </Fact>
        )}
        {!unused && <Fact label={t("facts.input")}>{number(usage.input)}</Fact>}
        {usage.cached > 0 && <Fact label={t("facts.cached")}>{number(usage.cached)}</Fact>}
        {!unused && <Fact label={t("facts.output")}>{number(usage.output)}</Fact>}
        {usage.reasoning > 0 && <Fact label={t("facts.reasoning")}>{number(usage.reasoning)}</Fact>}
        {delegated > 0 && <Fact label={t("facts.subAgents")}>{number(delegated)}</Fact>}
        {agent?.repository && (
          <>
            <Fact label={t("facts.repository")}>{agent.repository.source}</Fact>
            <Fact label={t("facts.branch")}>{agent.repository.branch}</Fact>
          </>
        )}
      </dl>
    </section>
  );
}

function Fact({ label, children }: { label: string; children: ReactNode }) {
  return (
    <div>
      <dt>{label}</dt>
      <dd title={typeof children === "string" ? children : undefined}>{children}</dd>
    </div>
  );
}

function Muted({ children }: { children: ReactNode }) {
  return <p className={classes.muted}>{children}</p>;
}
