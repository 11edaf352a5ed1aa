import { setTimeout as delay } from 'node:timers/promises';
import type { Distributed } from '../../tests/support/distributed.ts';
import { planKills, type Kill } from './plan.ts';

/** Something that is killed and started again. */
interface Victim {
  kill(): Promise<void>;
  /** Starts it again; resolves when it runs, be it ready or not. */
  revive(): Promise<void>;
  /** False where it has ended by itself. */
  isAlive(): boolean;
}

/** Carries out a plan of kills. */
export class Killer {
  readonly plan: readonly Kill[];
  /** Target → how often it was killed. */
  readonly kills = new Map<string, number>();
  /** Processes that had ended by themselves when their turn came: nothing that is away may end a role. */
  readonly endedAlone: string[] = [];
  readonly #victims: ReadonlyMap<string, Victim>;
  /** What each target still goes through: it is not killed again before it was started again. */
  readonly #busy = new Map<string, Promise<void>>();

  constructor(all: Distributed, options: { readonly seed: number; readonly lengthMs: number }) {
    this.#victims = victimsOf(all);
    this.plan = planKills(options.seed, options.lengthMs, [...this.#victims.keys()]);
  }

  get killed(): number {
    return [...this.kills.values()].reduce((sum, count) => sum + count, 0);
  }

  /** How often a process of this role was killed. */
  killsOf(role: string): number {
    return [...this.kills].reduce(
      (sum, [target, count]) => (target.startsWith(`${role}-`) ? sum + count : sum),
      0,
    );
  }

  /** Kills by plan, counted from now; resolves when the last victim was started again. */
  async run(onKill: (kill: Kill) => void, signal: AbortSignal): Promise<void> {
    const begun = Date.now();
    for (const kill of this.plan) {
      await delay(Math.max(0, begun + kill.atMs - Date.now()), undefined, { signal });
      onKill(kill);
      const before = this.#busy.get(kill.target) ?? Promise.resolve();
      const striking = before.then(() => this.#strike(kill));
      // Told at the end, not as a rejection that nobody has handled.
      striking.catch(() => undefined);
      this.#busy.set(kill.target, striking);
    }
    await Promise.all(this.#busy.values());
  }

  async #strike({ target, downMs }: Kill): Promise<void> {
    const victim = this.#victims.get(target);
    if (victim === undefined) throw new Error(`There is no ${target}`);
    if (!victim.isAlive()) this.endedAlone.push(target);
    await victim.kill();
    this.kills.set(target, (this.kills.get(target) ?? 0) + 1);
    await delay(downMs);
    await victim.revive();
  }
}

function victimsOf(all: Distributed): Map<string, Victim> {
  const victims = new Map<string, Victim>();
  for (const [name, server] of all.serverList) {
    victims.set(name, {
      kill: () => server.kill(),
      revive: () => server.restart(),
      isAlive: () => true,
    });
  }
  for (const role of all.roles) {
    victims.set(role.name, {
      kill: () => role.kill(),
      revive: () => {
        role.spawn();
        return Promise.resolve();
      },
      isAlive: () => role.runs,
    });
  }
  return victims;
}
