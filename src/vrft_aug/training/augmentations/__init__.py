"""The settings that change what a stage learns from: pictures, knowledge, cases and seats of a group."""
