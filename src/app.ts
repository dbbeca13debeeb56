/** Everything that waits for the first request that needs it: the catalog, the runtime, the store. */
import type { TraceEvent } from "./contract/model.ts";
import { createCustody } from "./custody/create.ts";
import type { Custody } from "./custody/custody.ts";
import type { StdioListener } from "./listeners/stdio.ts";
import type { Log } from "./log.ts";
import { agentMethods } from "./methods/agent.ts";
import { configMethods } from "./methods/config.ts";
import { createDispatch } from "./methods/dispatch.ts";
import type { Health } from "./methods/health.ts";
import { type ProcessControl, systemMethods } from "./methods/system.ts";
import { toolMethods } from "./methods/tool.ts";
import { traceMethods } from "./methods/trace.ts";
import { hostTool, loadMcpServers, loadTools, openStore, providers } from "./registry.ts";
import type { Call } from "./rpc/request.ts";
import { Budgets } from "./runtime/budget/budgets.ts";
import { PromptScales } from "./runtime/budget/prompt-scale.ts";
import type { ConfigService } from "./runtime/config.ts";
import { Host } from "./runtime/host.ts";
import { newId } from "./runtime/ids.ts";
import { Models } from "./runtime/models.ts";
import { Gate } from "./runtime/policy/gate.ts";
import { Grants } from "./runtime/policy/grants.ts";
import { Sessions } from "./runtime/sessions.ts";
import { ToolCalls } from "./runtime/tools/calls.ts";
import { ConfiguredTools } from "./runtime/tools/configured.ts";
import { HostTools } from "./runtime/tools/host-tools.ts";
import { ToolRegistry } from "./runtime/tools/registry.ts";
import { LiveTraces } from "./runtime/trace.ts";
import { Traces } from "./runtime/traces.ts";
import { Compression } from "./runtime/turns/compression.ts";
import { Runs } from "./runtime/turns/runs.ts";
import type { Store } from "./store/store.ts";

export interface AppParts {
  config: ConfigService;
  env: NodeJS.ProcessEnv;
  listener: StdioListener;
  health: Health;
  control: ProcessControl;
  log: Log;
}

export interface App {
  answer(call: Call): unknown;
  runs: Runs;
  custody: Custody;
  budgets: Budgets;
  /** Undefined until something was stored or looked up. */
  store(): Store | undefined;
}

export async function createApp({ config: settings, env, listener, health, control, log }: AppParts): Promise<App> {
  const now = Date.now;
  const random = Math.random;
  const config = () => settings.current;
  const store = storeOnFirstUse(async () => openStore({ path: settings.storagePath(), keepTraces: config().trace.keep, now }));
  const traces = new LiveTraces();
  const onTraceEvent = (event: TraceEvent) => {
    if (config().trace.events) listener.notify("trace.event", event);
  };
  const base = { store: store.open, config, traces, onTraceEvent, newId, now, random, log };

  const custody = createCustody({ log });
  const host = new Host(listener, log);
  const registry = new ToolRegistry();
  const configured = new ConfiguredTools(registry, {
    tools: () => loadTools({ config: config(), custody, env, log, now }),
    source: () => loadMcpServers({ config: config(), custody, env, log, now }, () => registry.recount()),
    log,
  });
  await configured.start(config());
  settings.onChange((current) => configured.changed(current));

  const models = new Models(providers, config, env);
  const grants = new Grants(store.open, now);
  const gate = new Gate(() => config().policy, grants, host, log);
  const scales = new PromptScales();
  const budgets = new Budgets({ store: store.open, limits: () => config().budgets, scaleOf: (model) => scales.of(model), now, log });
  settings.onChange(() => budgets.limitsChanged());
  const runs = new Runs({
    ...base,
    models,
    budgets,
    registry,
    gate,
    grants,
    host,
    openSink: (streamId) => listener.openSink(streamId),
    maxStreams: config().limits.streams,
  });
  const compression = new Compression({ ...base, models, budgets, afterTurns: (sessionId, task) => runs.afterTurns(sessionId, task) });
  const sessions = new Sessions(store.open, newId, async (sessionId) => {
    await runs.cancelSession(sessionId);
    grants.forget({ sessionId });
  });

  health.connect({
    loadedProviders: () => models.loaded,
    loadedTools: () => registry.count,
    activeTraces: () => traces.size,
    tools: () => configured.health,
    storage: () => store.current()?.health() ?? store.failure(),
  });

  const answer = createDispatch({
    ...systemMethods(health, config().limits, control, host, custody),
    ...agentMethods({ sessions, runs, compression, budgets }, (streamId) => listener.release(streamId)),
    ...toolMethods(new ToolCalls({ ...base, registry }), new HostTools(registry, host, hostTool), grants),
    ...traceMethods(new Traces(store.open, traces)),
    ...configMethods(settings, () => configured.applied),
  });
  return { answer, runs, custody, budgets, store: store.current };
}

/** Opens the store when it is first asked for; after a failure the next caller tries again. */
function storeOnFirstUse(open: () => Promise<Store>) {
  let opening: Promise<Store> | undefined;
  let current: Store | undefined;
  let failure: { status: "error"; message: string } | undefined;
  return {
    open: (): Promise<Store> => {
      opening ??= open().then(
        (store) => {
          failure = undefined;
          current = store;
          return store;
        },
        (error: unknown) => {
          opening = undefined;
          failure = { status: "error", message: error instanceof Error ? error.message : "The store could not be opened" };
          throw error;
        },
      );
      return opening;
    },
    current: () => current,
    failure: () => failure,
  };
}
