/**
 * Tabs as screen readers and keyboards know them: one is chosen, arrows move between them (ARIA Authoring Practices,
 * "Tabs with automatic activation").
 * @param {HTMLElement} list
 * @param {(panelId: string) => void} onChosen
 * @param {AbortSignal} signal
 * @returns {(panelId: string) => void} chooses one
 */
export function openTabs(list, onChosen, signal) {
  const tabs = [...list.querySelectorAll('button')];
  const panelOf = (/** @type {Element} */ tab) => tab.getAttribute('aria-controls') ?? '';
  for (const tab of tabs) document.getElementById(panelOf(tab))?.setAttribute('role', 'tabpanel');
  const choose = (/** @type {string} */ panelId) => {
    for (const tab of tabs) {
      const chosen = panelOf(tab) === panelId;
      tab.setAttribute('aria-selected', String(chosen));
      tab.tabIndex = chosen ? 0 : -1;
      document.getElementById(panelOf(tab))?.toggleAttribute('hidden', !chosen);
    }
    onChosen(panelId);
  };
  const steps = new Map([
    ['ArrowRight', 1],
    ['ArrowLeft', -1],
  ]);
  tabs.forEach((tab, at) => {
    tab.addEventListener('click', () => choose(panelOf(tab)), { signal });
    const pressed = (/** @type {KeyboardEvent} */ event) => {
      const next = tabs[(at + (steps.get(event.key) ?? 0) + tabs.length) % tabs.length];
      if (!steps.has(event.key) || next === undefined) return;
      event.preventDefault();
      choose(panelOf(next));
      next.focus();
    };
    tab.addEventListener('keydown', pressed, { signal });
  });
  return choose;
}
