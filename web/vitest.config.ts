import react from "@vitejs/plugin-react";
import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    projects: [
      { test: { name: "logic", include: ["src/**/*.test.ts", "dev/**/*.test.ts"] } },
      {
        plugins: [react()],
        test: {
          name: "pages",
          include: ["src/**/*.test.tsx"],
          environment: "jsdom",
          restoreMocks: true,
          setupFiles: ["dev/testing/browser.ts"],
          // A page is loaded, drawn and asked several times on a machine that has other work.
          testTimeout: 30_000,
          hookTimeout: 30_000,
        },
      },
    ],
  },
});
