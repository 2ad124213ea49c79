/** Trained models as files: GGUF and Hugging Face folders. */
export { exportGguf, type GgufExport, type GgufExportRequest } from "./gguf-export.js";
export { GGUF_QUANTS, type GgufQuant } from "./gguf-types.js";
export { type ExportedFile, exportHuggingFace, type HfExport, type HfExportRequest, type HfType } from "./hf-export.js";
export { saveFile, saveFolder } from "./save.js";
export type { TrainedModel, TrainedTensor } from "./trained-model.js";
