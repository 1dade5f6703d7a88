// A vertical line on the chart at the instant that is looked at, with its time on the axis.
import type {
  IChartApi,
  IPrimitivePaneRenderer,
  IPrimitivePaneView,
  ISeriesPrimitive,
  ISeriesPrimitiveAxisView,
  Time,
} from "lightweight-charts";

type Target = Parameters<IPrimitivePaneRenderer["draw"]>[0];

/** Where the instant is: the bar at or before it, and how far into that bar's interval (0 to 1). */
export interface Mark {
  bar: Time;
  share: number;
  label: string;
}

const COLOUR = "#e9b44c";

export class InstantLine implements ISeriesPrimitive<Time> {
  private mark: Mark | null = null;
  private requestUpdate: (() => void) | null = null;

  constructor(private readonly chart: IChartApi) {}

  attached(parameters: { requestUpdate: () => void }): void {
    this.requestUpdate = parameters.requestUpdate;
  }

  detached(): void {
    this.requestUpdate = null;
  }

  set(mark: Mark | null): void {
    this.mark = mark;
    this.requestUpdate?.();
  }

  /** In CSS pixels; null when there is no mark, or its bar is not loaded. */
  coordinate(): number | null {
    if (!this.mark) return null;
    const scale = this.chart.timeScale();
    const centre = scale.timeToCoordinate(this.mark.bar);
    return centre === null ? null : centre + (this.mark.share - 0.5) * scale.options().barSpacing;
  }

  paneViews(): readonly IPrimitivePaneView[] {
    return [{ zOrder: () => "top", renderer: () => ({ draw: (target: Target) => this.draw(target) }) }];
  }

  timeAxisViews(): readonly ISeriesPrimitiveAxisView[] {
    const x = this.coordinate();
    if (x === null || !this.mark) return [];
    const text = this.mark.label;
    return [{ coordinate: () => x, text: () => text, textColor: () => "#14100a", backColor: () => COLOUR }];
  }

  private draw(target: Target): void {
    const x = this.coordinate();
    if (x === null) return;
    target.useBitmapCoordinateSpace(({ context, bitmapSize, horizontalPixelRatio, verticalPixelRatio }) => {
      context.save();
      context.strokeStyle = COLOUR;
      context.lineWidth = Math.max(1, Math.round(horizontalPixelRatio));
      context.setLineDash([6 * verticalPixelRatio, 4 * verticalPixelRatio]);
      context.beginPath();
      const at = Math.round(x * horizontalPixelRatio) + 0.5;
      context.moveTo(at, 0);
      context.lineTo(at, bitmapSize.height);
      context.stroke();
      context.restore();
    });
  }
}
