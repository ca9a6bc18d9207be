import { defineConfig } from "vite";

// Relative names, so that the binary may serve the files under any path; no inlined assets, so that
// the page's content policy needs neither 'unsafe-inline' nor data: scripts.
export default defineConfig({
  base: "./",
  build: {
    target: "es2020",
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    cssCodeSplit: false,
    sourcemap: false,
    reportCompressedSize: false,
  },
});
