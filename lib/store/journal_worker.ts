/**
 * What the journal's worker runs, where the program is not a single file.
 *
 * @module
 */

import { serveJournal } from "./journal_service.ts";

serveJournal();
