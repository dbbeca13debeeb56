/** Those of the named variables that are set: to name one is to hand it over, secret or not. */
export function chosen(names: readonly string[], env: NodeJS.ProcessEnv): Record<string, string> {
  return Object.fromEntries(names.flatMap((name) => (env[name] === undefined ? [] : [[name, env[name]]])));
}
