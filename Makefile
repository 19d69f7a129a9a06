# The first python of 3.11 or newer that runs; or say which: make test PYTHON=/path/to/python
PYTHON ?= $(shell for p in python3 python3.11 python3.12 python3.13 python3.14 python; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$p; break; }; done)
BIN := .venv/bin
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist worksteal

.PHONY: quickstart test test-slow check format lint types layers results hdf-figures rdfer-figures video-results data-results clean

quickstart: .venv/core  ## draw faces, train a small video model on them, open the report
	$(BIN)/dfer quickstart

test: .venv/dev  ## the fast tests, doctests, README and docs blocks
	$(PYTEST) -m "not slow"

test-slow: .venv/dev  ## what takes longer: whole runs, memory, speed
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m slow

check: lint types layers test  ## everything a change must pass

format: .venv/dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

lint: .venv/dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: .venv/dev
	$(BIN)/mypy

layers: .venv/dev
	$(BIN)/lint-imports

# Installed with uv where it is there, else with venv and pip; constraints.txt holds versions known to work together.
.venv/core: pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "dfer needs Python 3.11 or newer; none found. Say which: make PYTHON=/path/to/python"; exit 2; }
	@if command -v uv >/dev/null; then \
		{ test -x $(BIN)/python || uv venv --quiet --python $(PYTHON) .venv; } && \
		uv pip install --quiet --python $(BIN)/python --constraint constraints.txt --editable .; \
	else \
		{ test -x $(BIN)/pip || $(PYTHON) -m venv .venv; } && \
		$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable .; \
	fi
	@touch $@

.venv/dev: .venv/core
	@if command -v uv >/dev/null; then \
		uv pip install --quiet --python $(BIN)/python --constraint constraints.txt --editable '.[dev]'; \
	else \
		$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'; \
	fi
	@touch $@

results: .venv/dev  ## make docs/results again: some six hours on two cores
	$(BIN)/dfer table synthetic/dynamic --budget small --format markdown > docs/results/dynamic.md
	test -f runs/pretrain/run.json || \
		$(BIN)/dfer train synthetic/pretrain --trainer.precision bf16-mixed --out runs/pretrain
	for number in 3 4 5 6; do \
		$(BIN)/dfer table safe-$$number --budget small --format markdown > docs/results/safe-$$number.md; \
	done
	$(BIN)/dfer table safe-7 --budget small --seeds 3 --format markdown > docs/results/safe-7.md
	$(BIN)/dfer table synthetic/longer --budget small --format markdown > docs/results/longer.md
	$(BIN)/dfer table synthetic/quickstart --budget paper --format markdown > docs/results/quickstart_models.md
	test -f runs/pretrain_clips/run.json || \
		$(BIN)/dfer train synthetic/pretrain_clips --trainer.precision bf16-mixed --out runs/pretrain_clips
	test -f runs/pretrain_x3d/run.json || \
		$(BIN)/dfer train synthetic/pretrain_clips --trainer.precision bf16-mixed --out runs/pretrain_x3d \
			--model.model.backbone dfer.backbones.x3d_s --model.model.backbone.width 1.0
	for name in hdf-3 hdf-4 synthetic/hdf_kernels synthetic/hdf_floor synthetic/hdf_stages synthetic/hdf_x3d; do \
		$(BIN)/dfer table $$name --budget small --format markdown > docs/results/$$(basename $$name).md; \
	done
	$(MAKE) hdf-figures
	test -f runs/pretrain_frames/run.json || \
		$(BIN)/dfer train synthetic/pretrain_frames --trainer.precision bf16-mixed --out runs/pretrain_frames
	for backbone in mc3 r2plus1d; do for kind in pretrain pretrain_clips; do \
		out=runs/pretrain_$$backbone$${kind#pretrain}; test -f $$out/run.json || \
			$(BIN)/dfer train synthetic/$$kind --trainer.precision bf16-mixed --out $$out \
				--model.model.backbone dfer.backbones.$${backbone}_18 --model.model.backbone.width 0.25; \
	done; done
	for name in rdfer-3 rdfer-4 rdfer-6 synthetic/rdfer_noise synthetic/m3dfel_longer; do \
		$(BIN)/dfer table $$name --budget small --format markdown > docs/results/$$(basename $$name).md; \
	done
	$(BIN)/python benchmarks/table_vi_cost.py > docs/results/rdfer-6-cost.md
	$(MAKE) rdfer-figures
	$(BIN)/dfer figures synthetic/easy --name mix --out docs/results
	for name in generator s2am2 mix sam dam depthwise rdfer_memory; do \
		echo "\$$ python benchmarks/$$name.py"; $(BIN)/python benchmarks/$$name.py; echo; \
	done > docs/results/benchmarks.txt
	$(BIN)/dfer quickstart && cp runs/quickstart/metrics.json docs/results/quickstart.json
	$(MAKE) video-results
	$(MAKE) data-results

HDF := $(BIN)/dfer train synthetic/hdf --trainer.precision bf16-mixed
PLAIN := --model.model.frequency false --model.model.temporal false
ADAMW := --model.loss dfer.losses.CrossEntropy --model.optimizer torch.optim.AdamW --model.optimizer.lr 0.0005 \
	--model.optimizer.weight_decay 0.05 --model.optimizer.fused true
FOUR := runs/hdf-a --beside runs/hdf-b --beside runs/hdf-c --beside runs/hdf-d \
	--title baseline --title DAM --title DSM --title HDF

hdf-figures: .venv/dev  # the rows of Table 3 once more, by name, and what they look like
	test -f runs/hdf-a/run.json || $(HDF) $(PLAIN) $(ADAMW) --out runs/hdf-a
	test -f runs/hdf-b/run.json || $(HDF) $(ADAMW) --out runs/hdf-b
	test -f runs/hdf-c/run.json || $(HDF) $(PLAIN) --out runs/hdf-c
	test -f runs/hdf-d/run.json || $(HDF) --out runs/hdf-d
	test -f runs/hdf-3/run.json || $(HDF) --model.model.stages '[3]' --out runs/hdf-3
	$(BIN)/dfer figures $(FOUR) --name embedding --out docs/results/hdf
	$(BIN)/dfer figures runs/hdf-a --beside runs/hdf-3 --title baseline --title HDF --name heatmap --out docs/results/hdf
	$(BIN)/dfer figures runs/hdf-b --beside runs/hdf-d --title AdamW --title DSM --name landscape --out docs/results/hdf
	$(BIN)/dfer figures runs/hdf-d --name scaling --out docs/results/hdf
	rm -f docs/results/hdf/*.pdf docs/results/hdf/*.npz docs/results/hdf/heatmap.svg  # megabytes
	$(BIN)/python benchmarks/negatives.py runs/hdf-a runs/hdf-d --title baseline --title HDF > docs/results/hdf-negatives.md

RDFER := $(BIN)/dfer train synthetic/rdfer --trainer.precision bf16-mixed
VANILLA := --model.reweight.hard_fraction 0.0 --model.reweight.noisy_fraction 0.0
THREE := runs/rdfer-0 runs/rdfer-1 runs/rdfer-2
PLAIN_THREE := runs/rdfer-plain-0 runs/rdfer-plain-1 runs/rdfer-plain-2
TITLES := --title RDFER --title cross-entropy --title "RDFER, 5 % wrong" --title "RDFER, 20 % wrong"

rdfer-figures: .venv/dev  # rows of Table IV once more, by name, and what they find and look like
	for seed in 0 1 2; do \
		test -f runs/rdfer-$$seed/run.json || $(RDFER) --seed_everything $$seed --out runs/rdfer-$$seed; \
		test -f runs/rdfer-plain-$$seed/run.json || \
			$(RDFER) $(VANILLA) --seed_everything $$seed --out runs/rdfer-plain-$$seed; \
	done
	test -f runs/rdfer-5/run.json || $(RDFER) --data.dataset.label_noise 0.05 --out runs/rdfer-5
	test -f runs/rdfer-20/run.json || $(RDFER) --data.dataset.label_noise 0.2 --out runs/rdfer-20
	$(BIN)/dfer agreement $(THREE) --format markdown > docs/results/rdfer-5-7.md
	$(BIN)/dfer audit $(THREE) $(PLAIN_THREE) runs/rdfer-5 runs/rdfer-20 $(TITLES) --truth --format markdown \
		> docs/results/rdfer-truth.md
	$(BIN)/python benchmarks/key_expression.py $(THREE) > docs/results/rdfer-centre.md
	for name in agreement_samples agreement_embedding confusion; do \
		$(BIN)/dfer figures runs/rdfer-0 --name $$name --out docs/results/rdfer; \
	done
	rm -f docs/results/rdfer/*.pdf

# BLAZE=FILE: a BlazeFace model; without it one is fetched, or the cascade finds the faces
FACES := $(if $(BLAZE),--detector-model $(BLAZE))

video-results: .venv/dev  ## how fast a raw video is read, and what is lost on the way; needs runs/quickstart
	{ echo "\$$ python benchmarks/video.py --minutes 60"; $(BIN)/python benchmarks/video.py --minutes 60 $(FACES); echo; \
		for name in export serve; do \
			echo "\$$ python benchmarks/$$name.py"; $(BIN)/python benchmarks/$$name.py; echo; \
		done; } > docs/results/video.txt
	{ echo "\$$ python benchmarks/drawn_scene.py runs/quickstart"; \
		$(BIN)/python benchmarks/drawn_scene.py runs/quickstart $(FACES) --picture docs/results/drawn_scene.svg; \
		} > docs/results/drawn_scene.txt

data-results: .venv/dev  ## how fast clips are read, packed and not; a tree of DFEW's size indexed, checked, packed: an hour
	for name in loader packed_training index full_size; do \
		echo "\$$ python benchmarks/$$name.py"; $(BIN)/python benchmarks/$$name.py; echo; \
	done > docs/results/data.txt

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis build dist
