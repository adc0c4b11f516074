import react from "@vitejs/plugin-react";
import { defineConfig, type PluginOption, type UserConfig } from "vite";

const server = process.env.LONGHOUSE_URL ?? "http://127.0.0.1:8420";

export default defineConfig(async ({ mode }): Promise<UserConfig> => {
  const plugins: PluginOption[] = [react()];
  if (mode === "mock") {
    // A scripted server for work on the console alone; it is no part of the build.
    plugins.push((await import("./dev/mock/vite.ts")).mockServer());
  }
  return {
    plugins,
    // Both servers may run side by side.
    cacheDir: mode === "mock" ? "node_modules/.vite-mock" : "node_modules/.vite",
    build: {
      outDir: "../src/longhouse/server/console",
      emptyOutDir: true,
      // The content policy forbids `data:` scripts, and one file less matters little.
      assetsInlineLimit: 0,
      modulePreload: { polyfill: false },
      rolldownOptions: {
        output: {
          // The client's folder begins with a dot, and the server serves no file whose name does.
          chunkFileNames: ({ name }) => `assets/${name.replace(/^\.+/, "")}-[hash].js`,
          // What most pages share comes in one file instead of fifty small ones.
          codeSplitting: { groups: [{ name: "shared", test: /node_modules/, minShareCount: 3 }] },
        },
      },
      chunkSizeWarningLimit: 700,
    },
    server: {
      proxy: mode === "mock" ? {} : { "/api": server, "/health": server, "/info": server },
    },
  };
});
