/** Something that was used: the greater the number, the later. No two have the same. */
export interface Used {
  touched: number;
}

/** A list ordered by use, latest first. An item leaves it before its number changes, and comes back after. */
export class Recency<T extends Used> {
  /** Ascending, so that the item used last, which is the one that comes and goes, is at the end. */
  private readonly items: T[] = [];

  get size(): number {
    return this.items.length;
  }

  /** `item` must have been used later than all others. */
  add(item: T): void {
    this.items.push(item);
  }

  remove(item: T): void {
    const index = this.firstFrom(item.touched);
    if (this.items[index] === item) this.items.splice(index, 1);
  }

  /** Those used before `touched`, latest first. */
  *before(touched: number): Generator<T, undefined> {
    for (let index = this.firstFrom(touched) - 1; index >= 0; index--) {
      const item = this.items[index];
      if (item !== undefined) yield item;
    }
  }

  /** Index of the first item that was used at `touched` or later. */
  private firstFrom(touched: number): number {
    let low = 0;
    let high = this.items.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.items[middle]?.touched ?? Number.POSITIVE_INFINITY) < touched) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

/** The latest of both lists first. */
export function* merge<T extends Used>(first: Iterator<T, undefined>, second: Iterator<T, undefined>): Generator<T, undefined> {
  let a = first.next().value;
  let b = second.next().value;
  while (a !== undefined || b !== undefined) {
    if (b === undefined || (a !== undefined && a.touched > b.touched)) {
      if (a !== undefined) yield a;
      a = first.next().value;
    } else {
      yield b;
      b = second.next().value;
    }
  }
}
