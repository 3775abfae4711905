/**
 * Finding what is filed under the patterns that match a name, in steps of one segment: the cost grows with the depth of
 * the name, not with the number of patterns. Where patterns have both the name's segment and a star in the same place, both
 * ways are gone: 2 to the power of the depth at worst, and never more than there are patterns.
 *
 * @module
 */

interface Node<T> {
  readonly children: Map<string, Node<T>>;
  /** What follows a `*`. */
  any: Node<T> | undefined;
  /** What is filed under the path to this node. */
  here: Set<T> | undefined;
  /** What is filed under the path to this node and `**`. */
  below: Set<T> | undefined;
}

/** Files things under names and patterns (`orders/*`, `orders/**`) of topics. */
export class PatternTree<T> {
  readonly #root: Node<T> = emptyNode();
  #version = 0;

  /** A tree in which something is filed under each of these names and patterns, to ask whether a name matches any. */
  static of(patterns: readonly string[]): PatternTree<true> {
    const tree = new PatternTree<true>();
    for (const pattern of patterns) tree.add(pattern, true);
    return tree;
  }

  /** Another number whenever there are other sets that {@linkcode PatternTree.matching} may return. */
  get version(): number {
    return this.#version;
  }

  /** Files `value` under a name or pattern, once. */
  add(pattern: string, value: T): void {
    let node = this.#root;
    for (const segment of pattern.split("/")) {
      if (segment === "**") {
        node.below ??= this.#newSet();
        node.below.add(value);
        return;
      }
      if (segment === "*") node = node.any ??= emptyNode();
      else {
        let child = node.children.get(segment);
        if (child === undefined) node.children.set(segment, child = emptyNode());
        node = child;
      }
    }
    node.here ??= this.#newSet();
    node.here.add(value);
  }

  /** Takes `value` away from under a name or pattern. */
  remove(pattern: string, value: T): void {
    const values = this.at(pattern);
    if (values?.size === 1 && values.has(value)) this.#version++;
    remove(this.#root, pattern.split("/"), 0, value);
  }

  /** What is filed under exactly this name or pattern; `undefined` if nothing is. */
  at(pattern: string): ReadonlySet<T> | undefined {
    let node: Node<T> | undefined = this.#root;
    for (const segment of pattern.split("/")) {
      if (segment === "**") return node.below;
      node = segment === "*" ? node.any : node.children.get(segment);
      if (node === undefined) return undefined;
    }
    return node.here;
  }

  /** Whether anything is filed under a pattern that matches a name. */
  matches(name: string): boolean {
    return this.matching(name).length > 0;
  }

  /** The sets of what is filed under the patterns that match a name, none of them empty. They change as things do. */
  matching(name: string): ReadonlySet<T>[] {
    const found: ReadonlySet<T>[] = [];
    const segments = name.split("/");
    // From here on `**` would have to match a segment that begins with a hyphen.
    const lastHyphen = segments.findLastIndex((segment) => segment.startsWith("-"));
    collect(this.#root, segments, 0, lastHyphen, found);
    return found;
  }

  #newSet(): Set<T> {
    this.#version++;
    return new Set();
  }
}

function emptyNode<T>(): Node<T> {
  return { children: new Map(), any: undefined, here: undefined, below: undefined };
}

function collect<T>(
  node: Node<T>,
  segments: readonly string[],
  at: number,
  lastHyphen: number,
  found: ReadonlySet<T>[],
): void {
  if (at === segments.length) {
    if (node.here !== undefined) found.push(node.here);
    return;
  }
  if (node.below !== undefined && lastHyphen < at) found.push(node.below);
  const segment = segments[at]!;
  const child = node.children.get(segment);
  if (child !== undefined) collect(child, segments, at + 1, lastHyphen, found);
  if (node.any !== undefined && !segment.startsWith("-")) collect(node.any, segments, at + 1, lastHyphen, found);
}

/** Removes, and prunes what is empty then. Returns whether `node` is empty. */
function remove<T>(node: Node<T>, segments: readonly string[], at: number, value: T): boolean {
  const segment = segments[at];
  if (segment === undefined) {
    node.here?.delete(value);
    if (node.here?.size === 0) node.here = undefined;
  } else if (segment === "**") {
    node.below?.delete(value);
    if (node.below?.size === 0) node.below = undefined;
  } else {
    const child = segment === "*" ? node.any : node.children.get(segment);
    if (child !== undefined && remove(child, segments, at + 1, value)) {
      if (segment === "*") node.any = undefined;
      else node.children.delete(segment);
    }
  }
  return node.here === undefined && node.below === undefined && node.any === undefined && node.children.size === 0;
}
