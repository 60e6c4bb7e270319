// Layers of tiles on a scene's own pixels: coordinates are columns from the left and rows from the bottom.

import TileLayer from "ol/layer/Tile.js";
import type Projection from "ol/proj/Projection.js";
import ImageTile from "ol/source/ImageTile.js";
import TileGrid from "ol/tilegrid/TileGrid.js";

import { message } from "./dom.js";
import type { SceneFacts } from "./facts.js";
import { Refusal, ask } from "./server.js";

/** Where a layer's pixels lie on the scene's. */
export interface Frame {
  height: number;
  width: number;
  levels: number;
  x: number;
  y: number;
  scale: number;
}

class Source extends ImageTile {
  /** Have all tiles drawn anew; the old ones stay until then. */
  renew(style: string): void {
    this.setKey(style);
  }
}

export class PixelLayer {
  readonly layer: TileLayer<ImageTile>;
  private readonly source: Source;
  private style = "";

  constructor(scene: SceneFacts, name: string, frame: Frame, projection: Projection, smooth: boolean) {
    const left = frame.x;
    const top = scene.height - frame.y;
    const extent = [left, top - frame.height * frame.scale, left + frame.width * frame.scale, top];
    const resolutions = Array.from({ length: frame.levels + 1 }, (_, z) => frame.scale * 2 ** (frame.levels - z));
    const tileGrid = new TileGrid({ extent, origin: [left, top], resolutions, tileSize: scene.tile });
    this.source = new Source({
      projection,
      tileGrid,
      interpolate: smooth,
      transition: 0,
      wrapX: false,
      loader: async (z, x, y, options) => {
        const address = `/viewer/scenes/${scene.id}/tiles/${name}/${z}/${x}/${y}?v=${scene.version}${this.style}`;
        try {
          const response = await ask(address, { signal: options.signal });
          return await createImageBitmap(await response.blob());
        } catch (error) {
          if (error instanceof Refusal) message(error.message);
          throw error;
        }
      },
    });
    this.layer = new TileLayer({ source: this.source, extent, preload: 1 });
  }

  /** Draw the tiles in another way: with other bands, or without some classes. */
  restyle(parameters: Record<string, string>): void {
    const style = Object.entries(parameters)
      .filter(([, value]) => value !== "")
      .map(([name, value]) => `&${name}=${encodeURIComponent(value)}`)
      .join("");
    if (style === this.style) return;
    this.style = style;
    this.source.renew(style);
  }
}
