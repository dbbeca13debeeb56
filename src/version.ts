/** What `--version`, the ready marker and `system.info` say; a test holds it to package.json. */
export const VERSION = "0.1.0";
