// The bottom line: is the engine well, how far has each partition come.
import { byId, formatCount, make, setText } from "./dom";
import type { PartitionPosition, SupervisionNode } from "./types";

export interface HealthAnswer {
  ready: boolean;
  reason: string | null;
}

export class StatusLine {
  private readonly health = byId("health");
  private readonly restarts = byId("restarts");
  private readonly partitions = byId("partitions");
  private readonly chips = new Map<number, HTMLElement>();

  showHealth(health: HealthAnswer): void {
    this.health.dataset.state = health.ready ? "up" : "waiting";
    setText(this.health, health.ready ? "ready" : `not ready: ${health.reason || "recovering"}`);
  }

  showSupervision(root: SupervisionNode): void {
    const nodes = flatten(root);
    const total = nodes.reduce((sum, node) => sum + node.restarts, 0);
    const unwell = nodes.filter((node) => node.state !== "running");
    const down = unwell.length > 0 ? ` · ${unwell.length} not running` : "";
    setText(this.restarts, `restarts\n${formatCount(total)}${down}`);
    this.restarts.dataset.state = unwell.length > 0 ? "down" : total > 0 ? "waiting" : "up";
    this.restarts.title = nodes.filter((node) => node.restarts > 0 || node.state !== "running").map(describe).join("\n");
  }

  showPositions(positions: PartitionPosition[]): void {
    for (const position of positions) {
      let chip = this.chips.get(position.partition);
      if (!chip) {
        chip = make("span", "chip");
        this.chips.set(position.partition, chip);
        this.partitions.append(chip);
      }
      const lag = Math.max(0, position.end - position.next);
      const text = `p${position.partition}  ${formatCount(position.next)} / ${formatCount(position.end)}\nlag ${formatCount(lag)} · frontier ${formatCount(position.frontier)}`;
      setText(chip, text);
      chip.dataset.state = lag > 0 ? "waiting" : "up";
      chip.title = `partition ${position.partition}: next offset to read ${position.next}, end of the tape ${position.end}, outputs delivered before ${position.frontier}, stored before ${position.cursor}, checkpoint ${position.checkpoint}`;
    }
  }

  unknown(): void {
    this.health.dataset.state = "down";
    setText(this.health, "no answer");
  }
}

function flatten(node: SupervisionNode): SupervisionNode[] {
  return [node, ...node.children.flatMap(flatten)];
}

function describe(node: SupervisionNode): string {
  const error = node.last_error ? `: ${node.last_error}` : "";
  return `${node.name}: ${node.state}, restarts ${node.restarts}${error}`;
}
