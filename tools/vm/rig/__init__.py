# SPDX-License-Identifier: Apache-2.0
"""Parts of the test rig; the programs beside this folder are its doors."""
