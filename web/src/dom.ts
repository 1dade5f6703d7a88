// Small helpers over the DOM.

export function byId<T extends HTMLElement = HTMLElement>(id: string): T {
  const found = document.getElementById(id);
  if (!found) throw new Error(`the page lacks #${id}`);
  return found as T;
}

export function make<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  className = "",
  text = "",
): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  if (className) element.className = className;
  if (text) element.textContent = text;
  return element;
}

/** Touches the DOM only when something changed. */
export function setText(element: HTMLElement, text: string): void {
  if (element.textContent !== text) element.textContent = text;
}

export function setTrust(badge: HTMLElement, trust: string): void {
  if (badge.dataset.trust === trust) return;
  badge.dataset.trust = trust;
  badge.textContent = trust;
}

export function formatPosition(position: { partition: number; offset: number; index: number }): string {
  return `${position.partition}:${position.offset}:${position.index}`;
}

const GROUPED = new Intl.NumberFormat("en-US");

export function formatCount(count: number): string {
  return GROUPED.format(count);
}

/** 1234567 as 1.23M: for narrow columns. */
export function shortCount(count: number): string {
  if (count < 10_000) return GROUPED.format(count);
  const [divisor, unit] = count < 1e6 ? [1e3, "k"] : count < 1e9 ? [1e6, "M"] : [1e9, "G"];
  const scaled = count / divisor;
  return `${scaled.toFixed(scaled < 10 ? 2 : scaled < 100 ? 1 : 0)}${unit}`;
}
