import { Counter, Histogram, type Registry } from "prom-client";
import type { AskedModel, Ended, Meter } from "../../../runtime/meter.ts";
import { LabelValues } from "./labels.ts";

/** Upper bounds in seconds. A turn that is answered as a whole may take minutes. */
const REQUEST_SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300];
const FIRST_TOKEN_SECONDS = [0.05, 0.1, 0.25, 0.5, 0.75, 1, 1.5, 2.5, 5, 10, 20, 40, 80, 160];
const TOOL_SECONDS = [0.001, 0.005, 0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300];
const STORE_SECONDS = [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5];

/** A meter that keeps counters and histograms in `registry`. `now`: milliseconds, never going back. */
export function seriesMeter(registry: Registry, prefix: string, now: () => number): Meter {
  const counter = <L extends string>(name: string, help: string, labelNames: L[]) =>
    new Counter({ name: prefix + name, help, labelNames, registers: [registry] });
  const histogram = <L extends string>(name: string, help: string, labelNames: L[], buckets: number[]) =>
    new Histogram({ name: prefix + name, help, labelNames, buckets, registers: [registry] });

  const requests = counter("requests_total", "Requests answered, by method and outcome: ok, or the name of the error.", ["method", "outcome"]);
  const requestSeconds = histogram("request_duration_seconds", "From a request to its answer, by method.", ["method"], REQUEST_SECONDS);
  const httpRequests = counter("http_requests_total", "Requests over HTTP, by route and status.", ["route", "status"]);
  const httpSeconds = histogram("http_request_duration_seconds", "From a request over HTTP to the end of its answer, by route.", ["route"], REQUEST_SECONDS);
  const firstToken = histogram(
    "time_to_first_token_seconds",
    "From asking a model to the first piece of its answer, for each try.",
    ["provider", "model"],
    FIRST_TOKEN_SECONDS,
  );
  const tokens = counter("tokens_total", "Tokens as the model servers have counted them.", ["provider", "model", "kind"]);
  const toolCalls = counter("tool_calls_total", "Calls of tools, by tool and outcome: ok, or why it failed or was not let run.", ["tool", "outcome"]);
  const toolSeconds = histogram("tool_duration_seconds", "How long tools have run.", ["tool"], TOOL_SECONDS);
  const storeSeconds = histogram("store_duration_seconds", "How long the store took, by operation and outcome.", ["operation", "outcome"], STORE_SECONDS);

  const values = { method: new LabelValues(), route: new LabelValues(), provider: new LabelValues(), model: new LabelValues(), tool: new LabelValues() };
  const outcomes = new LabelValues();
  const operations = new LabelValues();
  const labelsOf = ({ provider, model }: AskedModel) => ({ provider: values.provider.of(provider), model: values.model.of(model ?? "unknown") });

  /** Tells how many seconds it took. */
  const timed = (observe: (outcome: string, seconds: number) => void): Ended => {
    const start = now();
    return (outcome) => observe(outcomes.of(outcome), (now() - start) / 1000);
  };

  return {
    request(name) {
      const method = values.method.of(name);
      return timed((outcome, seconds) => {
        requests.inc({ method, outcome });
        requestSeconds.observe({ method }, seconds);
      });
    },
    httpRequest(name, status, seconds) {
      const route = values.route.of(name);
      httpRequests.inc({ route, status });
      httpSeconds.observe({ route }, seconds);
    },
    firstToken(asked) {
      const start = now();
      return () => firstToken.observe(labelsOf(asked), (now() - start) / 1000);
    },
    tokens(asked, { promptTokens, completionTokens }) {
      const labels = labelsOf(asked);
      tokens.inc({ ...labels, kind: "prompt" }, promptTokens);
      tokens.inc({ ...labels, kind: "completion" }, completionTokens);
    },
    toolCall(name) {
      const tool = values.tool.of(name);
      return timed((outcome, seconds) => {
        toolCalls.inc({ tool, outcome });
        toolSeconds.observe({ tool }, seconds);
      });
    },
    toolRefused(name, outcome) {
      toolCalls.inc({ tool: values.tool.of(name), outcome: outcomes.of(outcome) });
    },
    storeOperation(name) {
      const operation = operations.of(name);
      return timed((outcome, seconds) => storeSeconds.observe({ operation, outcome }, seconds));
    },
  };
}
