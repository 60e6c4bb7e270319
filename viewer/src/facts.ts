// What the server tells, as `src/terrazzo/serve/told.py`, `pixel_facts.py` and `job_routes.py` describe it.

export interface SceneBrief {
  id: string;
  name: string;
  group: string;
  mapped: boolean;
  job: string;
}

export interface SceneList {
  scenes: SceneBrief[];
  jobs: boolean;
}

export type Stretch = "percentiles" | "full";

export interface ImageFacts {
  height: number;
  width: number;
  levels: number;
  bands: string[];
  numbers: number[];
  shown: number[];
  stretch: Stretch;
  palette: boolean;
  x: number;
  y: number;
  scale: number;
}

export interface ClassFacts {
  name: string;
  colour: string;
  value: number;
}

export interface LayerFacts {
  name: string;
  title: string;
  meaning: string;
  kind: "ramp" | "flag";
  levels: number;
  low: number;
  high: number;
  colours: string[];
  bands: string[];
}

export interface SceneFacts extends SceneBrief {
  version: string;
  height: number;
  width: number;
  levels: number;
  tile: number;
  image: ImageFacts | null;
  classes: ClassFacts[];
  layers: LayerFacts[];
  crs: string | null;
  resolution_m: number | null;
  notes: string[];
}

export interface SceneAreas {
  classes: { pixels: number; square_metres: number | null }[];
  estimated: boolean;
}

export interface PixelFacts {
  x: number;
  y: number;
  position: { x: number; y: number; crs: string; longitude: number | null; latitude: number | null } | null;
  class_position: number | null;
  layers: { name: string; value: number; classes: number[] }[];
  probabilities: number[];
  bands: { band: string; value: number | null }[];
}

export interface Model {
  name: string;
  bands: { name: string }[];
  calibration: { abstain: boolean; sets: boolean };
}

export interface Job {
  id: string;
  state: "waiting" | "running" | "finished" | "failed" | "cancelled";
  model: string;
  scene: string;
  error: string | null;
  progress: { done: number; total: number | null; unit: string; message: string; seconds: number };
}
