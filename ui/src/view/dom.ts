// A very small virtual DOM: views are functions that describe what should be there, patch() changes
// only what differs, so focus, scroll and selection survive the once-a-second updates.
export type Handler = (event: Event) => void;
export type PropValue =
  | string
  | number
  | boolean
  | null
  | undefined
  | Handler
  | Record<string, string>
  | ((el: HTMLElement) => void);

export interface Props {
  key?: string;
  // Called once, when the element was made; the element's children are then its own business if
  // hold is set.
  made?: (el: HTMLElement) => void;
  hold?: boolean;
  style?: Record<string, string>;
  [name: string]: PropValue;
}

export interface VNode {
  tag: string;
  key: string | undefined;
  props: Props;
  children: (VNode | string)[];
  el: Element | null;
}

export type Child = VNode | string | number | null | undefined | false | Child[];

const kSvg = "http://www.w3.org/2000/svg";
const kSvgTags = new Set(["svg", "path", "circle", "g", "line", "rect"]);

function flatten(children: Child[], into: (VNode | string)[]): (VNode | string)[] {
  for (const child of children) {
    if (child === null || child === undefined || child === false) continue;
    if (Array.isArray(child)) flatten(child, into);
    else into.push(typeof child === "number" ? child.toString() : child);
  }
  return into;
}

export function h(tag: string, props: Props | null, ...children: Child[]): VNode {
  const own = props ?? {};
  return { tag, key: own.key, props: own, children: flatten(children, []), el: null };
}

function set_prop(el: Element, name: string, value: PropValue, before: PropValue): void {
  if (name === "key" || name === "made" || name === "hold") return;
  if (name.startsWith("on")) {
    const type = name.slice(2);
    if (before) el.removeEventListener(type, before as Handler);
    if (value) el.addEventListener(type, value as Handler);
    return;
  }
  if (name === "style") {
    const css = (el as HTMLElement).style;
    const next = (value ?? {}) as Record<string, string>;
    for (const rule of Object.keys((before ?? {}) as object))
      if (!(rule in next)) css.removeProperty(rule);
    for (const [rule, text] of Object.entries(next)) css.setProperty(rule, text);
    return;
  }
  if (name === "value" && el instanceof HTMLInputElement) {
    if (el.value !== value) el.value = String(value ?? "");
    return;
  }
  if (value === null || value === undefined || value === false) el.removeAttribute(name);
  else el.setAttribute(name, value === true ? "" : String(value));
}

function make(node: VNode | string): Node {
  if (typeof node === "string") return document.createTextNode(node);
  const el = kSvgTags.has(node.tag)
    ? document.createElementNS(kSvg, node.tag)
    : document.createElement(node.tag);
  node.el = el;
  for (const [name, value] of Object.entries(node.props)) set_prop(el, name, value, undefined);
  for (const child of node.children) el.appendChild(make(child));
  node.props.made?.(el as HTMLElement);
  return el;
}

function update(before: VNode, after: VNode): void {
  const el = before.el!;
  after.el = el;
  for (const name of Object.keys(before.props)) {
    if (!(name in after.props)) set_prop(el, name, undefined, before.props[name]);
  }
  for (const [name, value] of Object.entries(after.props)) {
    const old = before.props[name];
    if (value !== old || name === "value") set_prop(el, name, value, old);
  }
  if (!after.props.hold) patch(el, before.children, after.children);
}

function name_of(node: VNode | string, index: number): string {
  if (typeof node === "string") return `#${index}`;
  return node.key === undefined ? `${node.tag}:${index}` : `${node.tag}=${node.key}`;
}

// Changes parent's children, which were made from `before`, into `after`.
export function patch(
  parent: Element,
  before: (VNode | string)[],
  after: (VNode | string)[],
): void {
  const live = Array.from(parent.childNodes);
  const known = new Map<string, number>();
  before.forEach((node, i) => known.set(name_of(node, i), i));
  const used = new Set<number>();
  const wanted: Node[] = after.map((node, i) => {
    const found = known.get(name_of(node, i));
    const old = found === undefined ? undefined : before[found];
    if (old === undefined || used.has(found!)) return make(node);
    used.add(found!);
    if (typeof node === "string") {
      const text = live[found!]!;
      if (old !== node) text.nodeValue = node;
      return text;
    }
    update(old as VNode, node);
    return node.el!;
  });
  before.forEach((_, i) => {
    if (!used.has(i)) live[i]?.remove();
  });
  wanted.forEach((node, i) => {
    const here = parent.childNodes[i] ?? null;
    if (here !== node) parent.insertBefore(node, here);
  });
}

// A place on the page that shows what its last render() said.
export class Root {
  private shown_: (VNode | string)[] = [];
  readonly el: Element;

  constructor(el: Element) {
    this.el = el;
  }

  render(...children: Child[]): void {
    const next = flatten(children, []);
    patch(this.el, this.shown_, next);
    this.shown_ = next;
  }
}

// Runs `work` at most once a frame however often it is asked for, and not at all after stop().
export class Frame {
  private pending_ = 0;
  private readonly work_: () => void;

  constructor(work: () => void) {
    this.work_ = work;
  }

  ask = (): void => {
    if (this.pending_ !== 0) return;
    this.pending_ = requestAnimationFrame(() => {
      this.pending_ = 0;
      this.work_();
    });
  };

  stop(): void {
    if (this.pending_ !== 0) cancelAnimationFrame(this.pending_);
    this.pending_ = 0;
  }
}
