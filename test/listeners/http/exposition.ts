/** A strict reader of the Prometheus text format, version 0.0.4. Throws at the first line that is not as it should be. */

export interface Sample {
  name: string;
  labels: Record<string, string>;
  value: number;
}

export interface Family {
  name: string;
  help: string;
  type: string;
  samples: Sample[];
}

export class Exposition {
  readonly families = new Map<string, Family>();

  constructor(text: string) {
    if (!text.endsWith("\n")) throw new Error("the text does not end with a newline");
    let help: { name: string; text: string } | undefined;
    let family: Family | undefined;
    for (const line of text.slice(0, -1).split("\n")) {
      if (line === "") continue;
      if (line.startsWith("# HELP ")) {
        const [, name = "", helpText = ""] = matched(line, /^# HELP ([a-zA-Z_:][\w:]*) (.+)$/);
        help = { name, text: helpText };
        family = undefined;
      } else if (line.startsWith("# TYPE ")) {
        const [, name = "", type = ""] = matched(line, /^# TYPE ([a-zA-Z_:][\w:]*) (counter|gauge|histogram|summary|untyped)$/);
        if (help?.name !== name) throw new Error(`no HELP in front of ${line}`);
        if (this.families.has(name)) throw new Error(`${name} is there twice`);
        family = { name, help: help.text, type, samples: [] };
        this.families.set(name, family);
      } else if (family === undefined) throw new Error(`a sample without TYPE: ${line}`);
      else family.samples.push(sampleOf(line, family));
    }
    for (const each of this.families.values()) check(each);
  }

  /** The value of the one sample with this name and exactly these labels; undefined when there is none. */
  value(name: string, labels: Record<string, string> = {}): number | undefined {
    const wanted = keyOf({ name, labels });
    return [...this.families.values()].flatMap(({ samples }) => samples).find((sample) => keyOf(sample) === wanted)?.value;
  }

  samples(family: string): Sample[] {
    return this.families.get(family)?.samples ?? [];
  }
}

function sampleOf(line: string, family: Family): Sample {
  const [, name = "", inner, number = ""] = matched(line, /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? ([-+]?(?:\d+(?:\.\d+)?(?:e[-+]?\d+)?|Inf|Nan))$/);
  const suffix = name.slice(family.name.length);
  const suffixes = family.type === "histogram" ? ["_bucket", "_sum", "_count"] : [""];
  if (!name.startsWith(family.name) || !suffixes.includes(suffix)) throw new Error(`${name} does not belong to ${family.name}`);
  return {
    name,
    labels: inner === undefined ? {} : labelsOf(inner),
    value: number.endsWith("Inf") ? Number(`${number}inity`) : Number(number.replace("Nan", "NaN")),
  };
}

function labelsOf(inner: string): Record<string, string> {
  const labels: Record<string, string> = {};
  let rest = inner;
  while (rest !== "") {
    const [whole, name = "", value = ""] = matched(rest, /^([a-zA-Z_]\w*)="((?:[^\\"\n]|\\[\\"n])*)"(?:,(?=.)|$)/);
    if (Object.hasOwn(labels, name)) throw new Error(`the label ${name} is there twice`);
    labels[name] = value.replaceAll(/\\(.)/g, (_, escaped: string) => (escaped === "n" ? "\n" : escaped));
    rest = rest.slice(whole.length);
  }
  return labels;
}

/** No series twice; the buckets of a histogram grow, and the last one holds everything. */
function check({ name, type, samples }: Family): void {
  const keys = samples.map(keyOf);
  if (new Set(keys).size !== keys.length) throw new Error(`${name} has a series twice`);
  if (type === "counter" && samples.some(({ value }) => value < 0)) throw new Error(`${name} counts backwards`);
  if (type !== "histogram") return;
  const counts = samples.filter((sample) => sample.name === `${name}_count`);
  for (const { labels, value } of counts) {
    const series = keyOf({ name, labels });
    const buckets = samples.filter((each) => each.name === `${name}_bucket` && keyOf({ name, labels: without(each.labels, "le") }) === series);
    const bounds = buckets.map(({ labels: { le = "" } }) => (le === "+Inf" ? Infinity : Number(le)));
    const grows = buckets.every((bucket, at) => at === 0 || (bucket.value >= (buckets[at - 1]?.value ?? 0) && (bounds[at] ?? 0) > (bounds[at - 1] ?? 0)));
    if (!grows || bounds.at(-1) !== Infinity || buckets.at(-1)?.value !== value) throw new Error(`the buckets of ${series} do not add up`);
  }
}

function without(labels: Record<string, string>, left: string): Record<string, string> {
  return Object.fromEntries(Object.entries(labels).filter(([name]) => name !== left));
}

function keyOf({ name, labels }: Pick<Sample, "name" | "labels">): string {
  return `${name}${JSON.stringify(Object.entries(labels).toSorted(([a], [b]) => (a < b ? -1 : 1)))}`;
}

function matched(text: string, pattern: RegExp): RegExpExecArray {
  const match = pattern.exec(text);
  if (match === null) throw new Error(`not the Prometheus text format: ${text.slice(0, 200)}`);
  return match;
}
