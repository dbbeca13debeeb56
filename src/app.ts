/** Everything that waits for the first request that needs it: the catalog, the runtime, the store. */
import { HOST } from "./contract/caller.ts";
import { CONTEXT_SCENARIO } from "./contract/scenarios.ts";
import type { TraceEvent } from "./contract/model.ts";
import { createCustody } from "./custody/create.ts";
import type { Custody } from "./custody/custody.ts";
import type { StdioListener } from "./listeners/stdio.ts";
import type { Log } from "./log.ts";
import { agentMethods } from "./methods/agent.ts";
import { configMethods } from "./methods/config.ts";
import { admit, createDispatch } from "./methods/dispatch.ts";
import type { Health } from "./methods/health.ts";
import { metered } from "./methods/metered.ts";
import { type ProcessControl, systemMethods } from "./methods/system.ts";
import { toolMethods } from "./methods/tool.ts";
import { traceMethods } from "./methods/trace.ts";
import { hostTool, loadAttachmentReader, loadMcpServers, loadTools, openStore, providers } from "./registry.ts";
import type { Call } from "./rpc/request.ts";
import { Access } from "./runtime/access.ts";
import { Attachments } from "./runtime/attachments.ts";
import type { RuntimeBase } from "./runtime/base.ts";
import { Budgets } from "./runtime/budget/budgets.ts";
import { PromptScales } from "./runtime/budget/prompt-scale.ts";
import type { ConfigService } from "./runtime/config.ts";
import { Estimates } from "./runtime/estimate.ts";
import type { Door } from "./runtime/door.ts";
import { Host } from "./runtime/host.ts";
import { newId } from "./runtime/ids.ts";
import { LateMeter, type Levels } from "./runtime/meter.ts";
import { meteredStore } from "./runtime/metered-store.ts";
import { Models } from "./runtime/models.ts";
import { Gate } from "./runtime/policy/gate.ts";
import { Grants } from "./runtime/policy/grants.ts";
import { Readiness } from "./runtime/readiness.ts";
import { SessionModels } from "./runtime/session-models.ts";
import { Sessions } from "./runtime/sessions.ts";
import { StatusReport } from "./runtime/status.ts";
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
  answer(call: Call, door: Door): unknown;
  /** Throws `forbidden` for a caller whom `answer` would refuse for want of a scope. */
  admit: typeof admit;
  /** That of the host which has spawned us. */
  hostDoor: Door;
  runs: Runs;
  custody: Custody;
  budgets: Budgets;
  /** Silent until one is connected. */
  meter: LateMeter;
  /** What there is at the moment, for whoever reads it. */
  levels: Levels;
  /** Open sessions of the kind whose number is limited. */
  countContextSessions(): Promise<number>;
  readiness: Readiness;
  /** Undefined until something was stored or looked up. */
  store(): Store | undefined;
}

export async function createApp({ config: settings, env, listener, health, control, log }: AppParts): Promise<App> {
  const now = Date.now;
  const random = Math.random;
  const config = () => settings.current;
  const meter = new LateMeter();
  const store = storeOnFirstUse(async () => meteredStore(await openStore({ path: settings.storagePath(), keepTraces: config().trace.keep, now }), meter));
  const traces = new LiveTraces();
  const onTraceEvent = (event: TraceEvent) => {
    if (config().trace.events) listener.notify("trace.event", event);
  };
  const base: RuntimeBase = { store: store.open, config, traces, onTraceEvent, newId, now, random, log, meter };

  const custody = createCustody({ log });
  const host = new Host(listener, log);
  const status = new StatusReport({ env, custody, now: () => performance.now(), log });
  const registry = new ToolRegistry();
  const configured = new ConfiguredTools(registry, {
    tools: () => loadTools({ config: config(), custody, env, log, now }),
    source: () => loadMcpServers({ config: config(), custody, env, log, now }, () => registry.recount()),
    log,
  });
  await configured.start(config());
  settings.onChange((current) => configured.changed(current));

  const models = new Models(providers, config, env);
  const sessionModels = new SessionModels(models, store.open);
  const grants = new Grants(store.open, now);
  const gate = new Gate(() => config().policy, grants, host, log);
  const scales = new PromptScales();
  const budgets = new Budgets({ store: store.open, limits: () => config().budgets, scaleOf: (model) => scales.of(model), now, log });
  settings.onChange(() => budgets.limitsChanged());
  const runs = new Runs({
    ...base,
    models,
    sessionModels,
    budgets,
    registry,
    attachments: new Attachments(() => loadAttachmentReader(config())),
    gate,
    grants,
    maxStreams: config().limits.streams,
  });
  const afterTurns = <T>(sessionId: string, task: () => Promise<T>) => runs.afterTurns(sessionId, task);
  const compression = new Compression({ ...base, models, sessionModels, budgets, afterTurns });
  const cancelTurns = async (sessionId: string) => {
    await runs.cancelSession(sessionId);
    grants.forget({ sessionId });
  };
  const sessions = new Sessions({ store: store.open, newId, models: sessionModels, cancelTurns, afterTurns });
  const estimates = new Estimates({ models, sessionModels, scales, config, store: store.open });
  const readiness = new Readiness({
    store: store.open,
    streams: () => runs.live,
    mostStreams: config().limits.streams,
    isEnding: () => health.isStopping,
    now: () => performance.now(),
  });

  health.connect({
    loadedProviders: () => models.loaded,
    loadedTools: () => registry.count,
    activeTraces: () => traces.size,
    tools: () => configured.health,
    storage: () => store.current()?.health() ?? store.failure(),
  });

  const handlers = {
    ...systemMethods(health, config().limits, control, host, custody, status, readiness),
    ...agentMethods({ sessions, runs, compression, budgets, models, sessionModels, estimates }),
    ...toolMethods(new ToolCalls({ ...base, registry }), new HostTools(registry, host, hostTool), grants),
    ...traceMethods(new Traces(store.open, traces)),
    ...configMethods(settings, () => configured.applied),
  };
  const answer = createDispatch(handlers, new Access({ store: store.open, streams: runs, traces }));
  const hostDoor: Door = {
    caller: HOST,
    openSink: (streamId) => listener.openSink(streamId),
    release: (streamId) => listener.release(streamId),
    tellsStatus: () => host.capabilities.status,
  };
  const levels: Levels = {
    liveStreams: () => runs.live,
    waitingTurns: () => runs.waiting,
    activeSessions: async () => (await store.open()).countSessions({ activeOnly: true }),
  };
  const countContextSessions = async () => (await store.open()).countSessions({ scenario: CONTEXT_SCENARIO, activeOnly: true });
  return { countContextSessions, admit, answer: metered(answer, meter), hostDoor, runs, custody, budgets, meter, levels, readiness, store: store.current };
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
