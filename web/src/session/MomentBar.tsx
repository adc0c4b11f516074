/** Says that a moment of the past is looked at, moves along it, and leads back to now. */
import { Button, Slider } from "@mantine/core";
import { IconGitFork, IconHistory } from "@tabler/icons-react";
import { useQuery } from "@tanstack/react-query";
import { useEffect, useState } from "react";
import { useTranslation } from "react-i18next";
import { sessionQuery } from "../api/queries";
import { LinkButton } from "../shell/links";
import { usePlace } from "./place";
import classes from "./session.module.css";
import { useFork } from "./useFork";

type Props = {
  at: number;
  /** Whether a fork may begin here; unknown until the moment is read. */
  forkable: boolean | undefined;
  onMove: (at: number) => void;
};

export function MomentBar({ at, forkable, onMove }: Props) {
  const { t } = useTranslation();
  const place = usePlace();
  const { agentId, sessionId } = place;
  const { data: session } = useQuery(sessionQuery(agentId, sessionId));
  const fork = useFork(place);
  const [dragged, setDragged] = useState(at);
  useEffect(() => setDragged(at), [at]);
  return (
    <section className={classes.moment} aria-label={t("moment.title")} data-testid="moment">
      <IconHistory size={17} aria-hidden />
      <p>
        {t("moment.at", { at: dragged, last: session?.last_seq ?? at })}
        {forkable === false && <small>{t("moment.notForkable")}</small>}
      </p>
      <Slider
        className={classes.momentSlider}
        min={1}
        max={Math.max(session?.last_seq ?? at, at)}
        size="sm"
        label={null}
        thumbLabel={t("moment.slider")}
        value={dragged}
        onChange={setDragged}
        onChangeEnd={onMove}
      />
      <Button
        size="xs"
        variant="default"
        disabled={!forkable}
        loading={fork.isPending}
        leftSection={<IconGitFork size={15} />}
        onClick={() => fork.mutate(at)}
      >
        {t("moment.fork")}
      </Button>
      <LinkButton
        size="xs"
        to="/agents/$agentId/sessions/$sessionId"
        params={{ agentId, sessionId }}
      >
        {t("moment.now")}
      </LinkButton>
    </section>
  );
}
