import { splitModelId } from "../contract/model-id.ts";
import { fail } from "../errors.ts";
import type { ProviderEntry } from "../providers/provider.ts";

/** What is asked, in words: either half may be missing. */
export interface ModelName {
  provider: string | undefined;
  model: string | undefined;
}

/** Providers by their names, aliases and `provider:model`. Case and blanks around a name do not matter. */
export class ProviderNames {
  readonly #entries: readonly ProviderEntry[];

  constructor(entries: readonly ProviderEntry[]) {
    this.#entries = entries;
  }

  known(name: string): ProviderEntry | undefined {
    const wanted = normal(name);
    return this.#entries.find((candidate) => candidate.name === wanted || candidate.aliases.includes(wanted));
  }

  /** Throws `invalid_params` for an unknown name. */
  find(name: string): ProviderEntry {
    const entry = this.known(name);
    if (entry !== undefined) return entry;
    const names = this.#entries.flatMap((candidate) => [candidate.name, ...candidate.aliases]);
    throw fail("invalid_params", { path: "provider", known: names }, `Unknown provider "${name.slice(0, 64)}"; known are ${names.join(", ")}`);
  }

  /** `openai:gpt-4o` becomes its halves where nobody named a provider and there is one of that name. Throws `invalid_params` for an unknown provider. */
  split({ provider, model }: { provider?: string | undefined; model?: string | undefined }): ModelName {
    if (provider !== undefined) return { provider: properName(this.find(provider), provider), model };
    const halves = splitModelId(model);
    const entry = halves.provider === undefined ? undefined : this.known(halves.provider);
    if (entry === undefined || halves.provider === undefined) return { provider: undefined, model };
    return { provider: properName(entry, halves.provider), model: halves.model === "" ? undefined : halves.model };
  }
}

/** One for all names of a provider; an alias with an address of its own stays what it is. */
export function properName(entry: ProviderEntry, named: string): string {
  const name = normal(named);
  return entry.localAliases !== undefined && Object.hasOwn(entry.localAliases, name) ? name : entry.name;
}

function normal(name: string): string {
  return name.trim().toLowerCase();
}
