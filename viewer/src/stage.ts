// The map on the page: a scene's layers, its scale, and the pixel that was asked for.

import Feature from "ol/Feature.js";
import OlMap from "ol/Map.js";
import View from "ol/View.js";
import ScaleLine from "ol/control/ScaleLine.js";
import { defaults as defaultControls } from "ol/control/defaults.js";
import { containsCoordinate } from "ol/extent.js";
import Polygon, { fromExtent } from "ol/geom/Polygon.js";
import { defaults as defaultInteractions } from "ol/interaction/defaults.js";
import VectorLayer from "ol/layer/Vector.js";
import Projection from "ol/proj/Projection.js";
import VectorSource from "ol/source/Vector.js";
import Stroke from "ol/style/Stroke.js";
import Style from "ol/style/Style.js";

import { byId } from "./dom.js";
import type { LayerFacts, SceneFacts } from "./facts.js";
import { Swipe } from "./swipe.js";
import { PixelLayer } from "./tiles.js";

/** Twice on each side: a dark line on a light one is seen on any ground. */
const MARK = [
  new Style({ stroke: new Stroke({ color: "#fff", width: 5 }) }),
  new Style({ stroke: new Stroke({ color: "#111", width: 2 }) }),
];
/** Limits of zooming: pixels of the scene along a pixel of the screen, and pixels of the screen along a scene. */
const LARGEST_PIXEL = 1 / 16;
const SMALLEST_SCENE = 128;

export class Stage {
  readonly map: OlMap;
  readonly swipe: Swipe;
  image: PixelLayer | null = null;
  classes: PixelLayer | null = null;
  further: PixelLayer | null = null;
  private scene: SceneFacts | null = null;
  private projection: Projection | null = null;
  private readonly mark = new VectorSource<Feature<Polygon>>();
  private readonly markLayer = new VectorLayer({ source: this.mark, style: MARK, className: "mark" });
  private scale: ScaleLine | null = null;
  private opacity = 1;

  constructor(asked: (x: number, y: number) => void) {
    this.map = new OlMap({
      target: "map",
      controls: defaultControls({ attribution: false, rotate: false }),
      interactions: defaultInteractions({ altShiftDragRotate: false, pinchRotate: false }),
      layers: [],
    });
    this.swipe = new Swipe(this.map);
    this.map.on("singleclick", (event) => this.ask(event.coordinate, asked));
    byId("map").addEventListener("keydown", (event) => {
      if (event.key !== "Enter") return;
      const centre = this.map.getView().getCenter();
      if (centre) this.ask(centre, asked);
    });
  }

  /** Show a scene; without one the stage is empty. */
  show(scene: SceneFacts | null): void {
    this.scene = scene;
    this.mark.clear();
    this.map.setLayers([]);
    this.image = this.classes = this.further = null;
    if (this.scale) this.map.removeControl(this.scale);
    this.scale = null;
    if (!scene) return this.swipe.show(false);
    const extent = [0, 0, scene.width, scene.height];
    const metres = scene.resolution_m;
    const projection = new Projection({
      code: `pixels-${scene.id}`,
      units: "pixels",
      extent,
      metersPerUnit: metres ?? 1,
      getPointResolution: (resolution) => resolution,
    });
    this.projection = projection;
    if (scene.image) this.image = new PixelLayer(scene, "image", scene.image, projection, true);
    if (scene.classes.length) {
      const frame = { height: scene.height, width: scene.width, levels: scene.levels, x: 0, y: 0, scale: 1 };
      this.classes = new PixelLayer(scene, "class", frame, projection, false);
      this.classes.layer.setOpacity(this.opacity);
    }
    const view = {
      projection,
      extent,
      constrainOnlyCenter: true,
      minResolution: LARGEST_PIXEL,
      maxResolution: Math.max(scene.width, scene.height, SMALLEST_SCENE) / SMALLEST_SCENE,
    };
    this.map.setView(new View(view));
    this.arrange();
    this.fit();
    if (metres !== null) {
      this.scale = new ScaleLine({ units: "metric" });
      this.map.addControl(this.scale);
    }
    this.swipe.show(Boolean(this.image && this.classes));
  }

  fit(): void {
    if (this.scene) this.map.getView().fit([0, 0, this.scene.width, this.scene.height], { padding: [16, 16, 16, 16] });
  }

  /** Show a further layer of the map above it, or none. */
  showFurther(layer: LayerFacts | null, band: number): void {
    this.further = null;
    if (layer && this.scene && this.projection) {
      const { height, width } = this.scene;
      this.further = new PixelLayer(
        this.scene,
        layer.name,
        { height, width, levels: layer.levels, x: 0, y: 0, scale: 1 },
        this.projection,
        false,
      );
      if (layer.bands.length) this.further.restyle({ bands: String(band) });
    }
    this.arrange();
  }

  setOpacity(share: number): void {
    this.opacity = share;
    this.classes?.layer.setOpacity(share);
  }

  private arrange(): void {
    const above = [this.classes, this.further].filter((one) => one !== null).map((one) => one.layer);
    const below = this.image ? [this.image.layer] : [];
    this.map.setLayers([...below, ...above, this.markLayer]);
    this.swipe.clip(above);
  }

  private ask(coordinate: number[], asked: (x: number, y: number) => void): void {
    const scene = this.scene;
    if (!scene || !containsCoordinate([0, 0, scene.width, scene.height], coordinate)) return;
    const x = Math.min(scene.width - 1, Math.floor(coordinate[0]!));
    const y = Math.min(scene.height - 1, Math.floor(scene.height - coordinate[1]!));
    this.mark.clear();
    const bottom = scene.height - y - 1;
    // A pixel is too small to be seen from afar: the frame around it never is.
    const reach = Math.max(0, 4 * (this.map.getView().getResolution() ?? 0) - 0.5);
    const square = fromExtent([x - reach, bottom - reach, x + 1 + reach, bottom + 1 + reach]);
    this.mark.addFeature(new Feature(square));
    asked(x, y);
  }
}
