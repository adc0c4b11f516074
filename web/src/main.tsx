import "@mantine/core/styles.css";
import "@mantine/notifications/styles.css";
import "./shell/base.css";
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { configureClient } from "./api/http";
import { App } from "./app";
import { startI18n } from "./i18n";

const place = document.getElementById("root");
if (!place) throw new Error("index.html has no #root");

configureClient();
await startI18n();
createRoot(place).render(
  <StrictMode>
    <App />
  </StrictMode>,
);
